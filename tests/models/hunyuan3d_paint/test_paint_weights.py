from __future__ import annotations

import pytest
import torch

from backend.models.hunyuan3d_paint.paint_weights import fold, upstream_shapes
from tests.models.hunyuan3d_paint.paint_golden import config, published

BLOCK = "unet.down_blocks.1.attentions.0.transformer_blocks.0"


def test_published_names_and_shapes_are_known_exactly():
    found = {name: tensor.shape for name, tensor in published().items()}
    del found["unet.learned_text_clip_ref"]  # of the reference network
    assert upstream_shapes(config()) == found


@pytest.mark.parametrize(
    "missing",
    [
        "unet.learned_text_clip_mr",
        f"{BLOCK}.transformer.attn1.processor.to_out_mr.0.bias",
        f"{BLOCK}.attn_refview.processor.to_v_mr.weight",
        "unet.image_proj_model_dino.norm.bias",
    ],
)
def test_a_missing_weight_is_named(missing):
    state = published()
    del state[missing]
    with pytest.raises(KeyError, match=missing):
        fold(state, config())


def test_unknown_weights_are_left_out():
    state = {**published(), "unet.adapter.weight": torch.zeros(1)}
    assert set(fold(state, config())) == set(fold(published(), config()))


def test_values_of_the_reference_are_told_apart_as_they_were_trained():
    """The channels of both projections together are cut by head first, by material then."""
    state, heads, width = published(), 3, 48
    tokens = torch.linspace(-1, 1, 2 * width).view(2, width)
    names = ("to_v", "processor.to_v_mr")
    together = torch.cat(
        [tokens @ state[f"{BLOCK}.attn_refview.{name}.weight"].T for name in names], dim=-1
    )
    by_head = together.view(2, heads, 2, width // heads)
    fused = fold(state, config())["down.1.transformers.0.block.reference_attention.kv.weight"]
    ours = (tokens @ fused[width:].T).view(2, 2, heads, width // heads)
    torch.testing.assert_close(ours, by_head.transpose(1, 2), rtol=0, atol=1e-6)
