"""How much memory P3-SAM takes beside its weights, and how it is kept within bounds.

Imports torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from backend.gpu.work_room import WorkRoom
from backend.models.p3sam.config import HeadsConfig
from backend.models.p3sam.mask_heads import ROWS
from backend.models.p3sam.prompt_masks import working_bytes
from backend.units import MB

# Numbers per voxel where the encoder takes most: the joined levels twice, a block of the finest
# one with its neighbours.
ENCODE_NUMBERS_PER_VOXEL = 1_600
FLOAT32_BYTES = 4
DEVICE_LIMIT_BYTES = 4_000 * MB
"""P3-SAM stays within this on a device, weights and all, up to 250,000 points."""


@dataclass(frozen=True)
class MaskWork:
    """How many points and prompts one pass through the mask heads takes."""

    chunk_points: int
    prompt_batch: int


LARGEST, SMALLEST = MaskWork(16_384, 64), MaskWork(2_048, 8)


def encode_bytes(voxels: int) -> int:
    """Memory of the encoder for so many voxels.

    >>> encode_bytes(79_385) // MB
    484
    """
    return voxels * ENCODE_NUMBERS_PER_VOXEL * FLOAT32_BYTES


def asking_bytes(config: HeadsConfig, points: int) -> int:
    """Memory of what is known of so many points, while it is computed or in the smallest pass.

    Examples
    --------
    >>> asking_bytes(HeadsConfig(), 100_000) // MB
    1446
    """
    numbers = points * (config.feature_channels + 3 + config.first_channels)
    numbers += min(points, ROWS) * config.first_channels
    return max(numbers * FLOAT32_BYTES, pass_bytes(config, points, SMALLEST))


def pass_bytes(config: HeadsConfig, points: int, work: MaskWork) -> int:
    """Memory of a pass through the mask heads, with what is known of the points."""
    return working_bytes(
        config,
        points,
        torch.float32,
        chunk_points=work.chunk_points,
        prompt_batch=work.prompt_batch,
    )


def fitting_work(room_bytes: int, working_bytes: Callable[[MaskWork], int]) -> MaskWork:
    """Return the largest pass that fits, or the smallest there is.

    Parameters
    ----------
    room_bytes : int
        Memory for what is known of the points and for the pass.
    working_bytes : callable
        What a pass takes of it.
    """
    work = LARGEST
    while work != SMALLEST and working_bytes(work) > room_bytes:
        if work.chunk_points > SMALLEST.chunk_points:
            work = MaskWork(work.chunk_points // 2, work.prompt_batch)
        else:
            work = MaskWork(work.chunk_points, work.prompt_batch // 2)
    return work


def room_bytes(room: WorkRoom, weights_bytes: int) -> int:
    """Return what masks may take on a device beside the weights.

    >>> room_bytes(WorkRoom(most=20_000 * MB, as_it_is=12_000 * MB), 430 * MB) // MB
    3570
    """
    return room.modest(DEVICE_LIMIT_BYTES - weights_bytes)
