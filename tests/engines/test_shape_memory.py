"""What a shape takes on a card at real size: counted from the published tensors, in 16 bits."""

from __future__ import annotations

import pytest

from backend.engines.shape_memory import (
    FEWEST_POINTS,
    MOST_POINTS,
    TokenWork,
    fitting_points,
    grid_bytes,
    point_bytes,
)
from backend.models import dinov2_weights
from backend.models.dinov2 import DINOV2_GIANT, DINOV2_LARGE
from backend.models.hunyuan3d import flux_weights, plain_weights, shape_vae_weights
from backend.models.hunyuan3d.flux_config import HUNYUAN3D_20
from backend.models.hunyuan3d.plain_config import HUNYUAN3D_21
from backend.models.hunyuan3d.shape_vae_config import HUNYUAN3D_20_VAE

ITEM_BYTES = 2
CONTEXT_TOKENS = 1370
CARD_BYTES = 8 * 10**9


def weights(shapes):
    return ITEM_BYTES * sum(shape.numel() for shape in shapes.values())


def decode_bytes(cells):
    decoder = weights(shape_vae_weights.upstream_shapes(HUNYUAN3D_20_VAE))
    return decoder + FEWEST_POINTS * point_bytes(1024, ITEM_BYTES) + grid_bytes(cells)


@pytest.mark.parametrize(
    ("encoder", "denoiser", "tokens", "width"),
    [
        (DINOV2_GIANT, flux_weights.upstream_shapes(HUNYUAN3D_20), 3072, 1024),
        (DINOV2_LARGE, plain_weights.upstream_shapes(HUNYUAN3D_21), 4096, 2048),
    ],
    ids=["2.0", "2.1"],
)
def test_every_stage_alone_fits_into_8_gb(encoder, denoiser, tokens, width):
    encode = weights(dinov2_weights.upstream_shapes(encoder))
    call = TokenWork(1, tokens + CONTEXT_TOKENS, width, ITEM_BYTES)
    denoise = weights(denoiser) + call.size_bytes
    stages = (encode, denoise, decode_bytes(384))
    assert max(stages) < CARD_BYTES
    assert sum(stages) > max(stages) + 10**9  # which is why networks take turns


@pytest.mark.parametrize("free_gb", [0, 1, 4, 16, 64])
def test_a_call_takes_at_most_half_of_what_is_free_but_never_nothing(free_gb):
    points = fitting_points(free_gb * 10**9, 1024, ITEM_BYTES)
    assert FEWEST_POINTS <= points <= MOST_POINTS
    taken = points * point_bytes(1024, ITEM_BYTES)
    assert points == FEWEST_POINTS or taken <= free_gb * 10**9 / 2
    assert points.bit_count() == 1  # few shapes for networks that are compiled
