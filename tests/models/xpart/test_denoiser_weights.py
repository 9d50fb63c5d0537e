from __future__ import annotations

import pytest
import torch

from backend.models.xpart.denoiser import PartDenoiser
from backend.models.xpart.denoiser_config import X_PART
from backend.models.xpart.denoiser_weights import fold, upstream_shapes
from tests.models.xpart.part_golden import config, published


def test_published_names_and_shapes_are_known_exactly():
    assert upstream_shapes(config()) == {key: one.shape for key, one in published().items()}


def test_the_published_size_is_the_known_one():
    shapes = upstream_shapes(X_PART)
    with torch.device("meta"):
        network = PartDenoiser(X_PART)
    assert len(shapes) == 942
    count = sum(size.numel() for size in shapes.values())
    assert round(count / 1e6, 2) == 3315.24
    assert count == sum(one.numel() for one in network.parameters())


@pytest.mark.parametrize(
    "missing", ["part_embed", "blocks.2.norm2_2.bias", "blocks.6.attn2_2.to_v.weight"]
)
def test_a_missing_weight_is_named(missing):
    state = published()
    del state[missing]
    with pytest.raises(KeyError, match=missing):
        fold(state, config())


def test_unknown_weights_are_left_out():
    state = {**published(), "blocks.0.adapter.weight": torch.zeros(1)}
    assert set(fold(state, config())) == set(fold(published(), config()))


def test_projections_of_a_part_are_told_apart_as_they_were_trained():
    """There, the outputs one after the other are cut by head first, and by part within a head."""
    state, sizes = published(), config()
    channels, heads = sizes.part_context_channels, sizes.trunk.heads
    context = torch.linspace(-1, 1, 3 * channels).view(3, channels)
    both = [context @ state[f"blocks.0.attn2_2.to_{kind}.weight"].T for kind in "kv"]
    by_head = torch.cat(both, dim=-1).view(3, heads, 2, sizes.trunk.head_width)
    fused = fold(state, sizes)["blocks.0.part_attention.kv.weight"]
    ours = (context @ fused.T).view(3, 2, heads, sizes.trunk.head_width)
    torch.testing.assert_close(ours, by_head.transpose(1, 2), rtol=0, atol=1e-6)
