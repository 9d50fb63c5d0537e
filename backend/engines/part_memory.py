"""What X-Part needs on the device beside its weights, and how it is kept within bounds.

Bounds, not measurements: the residency manager promises so much to a lease, so that other models
leave in time.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from backend.engines.shape_memory import (
    FEWEST_POINTS,
    GRIDS,
    TokenWork,
    point_bytes,
)
from backend.models.xpart.denoiser_config import PartDenoiserConfig, key_bytes
from backend.models.xpart.point_set_config import PointSetConfig

MOST_PARTS_PER_CALL = 4
"""More at a time gain nothing: their tokens keep any GPU busy."""
# Numbers per token, in widths, beside what later blocks take up again, as counted tensor by tensor
# at the published sizes: of all parts while they attend to each other, of all parts while layers
# go through them in slices, and of the parts of one slice.
JOINT_WIDTHS, WAITING_WIDTHS, SLICE_WIDTHS = 14, 2, 30
TIME_TOKENS = 1
# Numbers per point of a surface, in widths of its encoder; 5 were measured.
WIDTHS_PER_SURFACE_POINT = 6
FLOAT32_BYTES = 4
GROWN = 2.0
"""The space of a part may have to grow by so much until its surface is inside."""


@dataclass(frozen=True)
class DenoisePlan:
    """How the denoiser goes through the parts.

    Parameters
    ----------
    parts_together : int
        Parts that see each other; below the number of all parts only where memory asks for it.
    parts_per_call : int
        Parts that layers look at together; changes no result.
    keys_for_blocks : int
        Blocks that keep what they compute of the contexts; changes no result.
    extra_bytes : int
        Memory beside the weights.
    """

    parts_together: int
    parts_per_call: int
    keys_for_blocks: int
    extra_bytes: int


def plan_denoise(
    config: PartDenoiserConfig,
    parts: int,
    context_tokens: int,
    item_bytes: int,
    room_bytes: int,
) -> DenoisePlan:
    """Divide the memory: first so that all parts fit, then for speed.

    Parameters
    ----------
    parts : int
        At least 1.
    context_tokens : int
        Of the object and of each part.
    item_bytes : int
        Of one number.
    room_bytes : int
        On the device beside the weights. The plan needs more where it does not suffice for one
        part.
    """
    together = parts
    while together > 1 and work_bytes(config, together, 1, context_tokens, item_bytes) > room_bytes:
        together = ceil(together / 2)
    per_call = min(together, MOST_PARTS_PER_CALL)
    while per_call > 1 and (
        work_bytes(config, together, per_call, context_tokens, item_bytes) > room_bytes
    ):
        per_call //= 2
    work = work_bytes(config, together, per_call, context_tokens, item_bytes)
    block = key_bytes(config, together, item_bytes, context_tokens)
    blocks = min(config.trunk.depth, max(0, room_bytes - work) // block)
    return DenoisePlan(together, per_call, blocks, work + blocks * block)


def work_bytes(
    config: PartDenoiserConfig,
    parts: int,
    parts_per_call: int,
    context_tokens: int,
    item_bytes: int,
) -> int:
    """Memory of one call of the denoiser that keeps no keys, and of the contexts.

    >>> from backend.models.xpart.denoiser_config import X_PART
    >>> round(work_bytes(X_PART, 10, 4, 4096, 2) / 1e9, 2)
    1.44
    """
    trunk = config.trunk
    widths = (config.tokens + TIME_TOKENS) * trunk.width * item_bytes
    taken_up = trunk.depth // 2  # outputs of blocks that later ones read
    joint = parts * (taken_up + JOINT_WIDTHS) * widths
    waiting = parts * (taken_up + WAITING_WIDTHS) * widths
    in_slice = parts_per_call * SLICE_WIDTHS * widths
    keys = 2 * key_bytes(config, parts_per_call, item_bytes, context_tokens)
    channels = max(trunk.context_channels, config.part_context_channels)
    contexts = (parts + 1) * context_tokens * channels * item_bytes
    return max(joint, waiting + in_slice + keys) + contexts


def encode_bytes(config: PointSetConfig, surfaces: int, item_bytes: int) -> int:
    """Memory of encoding so many surfaces at a time."""
    points = surfaces * config.points * config.width * WIDTHS_PER_SURFACE_POINT * item_bytes
    tokens = TokenWork(surfaces, config.tokens, config.width, item_bytes).size_bytes
    return points + tokens


def surfaces_per_call(config: PointSetConfig, item_bytes: int, room_bytes: int) -> int:
    """Return how many surfaces to encode at a time, at least 1."""
    fitting = room_bytes // encode_bytes(config, 1, item_bytes)
    return max(1, min(fitting, MOST_PARTS_PER_CALL))


def decode_bytes(corners: int, width: int, item_bytes: int) -> int:
    """Memory of reading a part off a grid.

    Parameters
    ----------
    corners : int
        Of the grid in the space of the part.
    width : int
        Of the geometry decoder.
    """
    grid = int(GROWN * GRIDS * FLOAT32_BYTES * corners)
    return grid + FEWEST_POINTS * point_bytes(width, item_bytes)
