from __future__ import annotations

import pytest

from backend.models.hunyuan3d_paint.paint_config import (
    KIND_ENTRY,
    PAINT_20,
    PAINT_21,
    PaintConfig,
    PaintKind,
)
from backend.models.hunyuan3d_paint.unet_config import STABLE_DIFFUSION_21, UnetConfig
from tests.models.hunyuan3d_paint import paint_golden

RELEASED = {
    "_class_name": "UNet2DConditionModel",
    "in_channels": 4,
    "out_channels": 4,
    "down_block_types": [*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"],
    "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3],
    "block_out_channels": [320, 640, 1280, 1280],
    "attention_head_dim": [5, 10, 20, 20],
    "layers_per_block": 2,
    "cross_attention_dim": 1024,
    "use_linear_projection": True,
    "sample_size": 64,
}


def test_released_networks_are_read_off_their_configuration():
    assert UnetConfig.from_upstream(RELEASED) == STABLE_DIFFUSION_21
    assert PaintConfig.from_upstream({**RELEASED, KIND_ENTRY: "colour"}) == PAINT_20
    assert PaintConfig.from_upstream({**RELEASED, KIND_ENTRY: "pbr"}) == PAINT_21
    assert PAINT_21.main_unet.in_channels == 12


def test_what_the_configuration_does_not_tell_is_read_off_the_tensors():
    found = paint_golden.config()
    assert found.kind is PaintKind.PBR
    assert (found.text_tokens, found.camera_rows, found.dino_width) == (7, 0, 48)


def test_weights_of_another_kind_are_refused():
    shapes = {name: one.shape for name, one in paint_golden.published().items()}
    with pytest.raises(ValueError, match="weights for pbr, not for colour"):
        PaintConfig.from_shapes(shapes, {**paint_golden.params(), KIND_ENTRY: "colour"})


@pytest.mark.parametrize("missing", ["block_out_channels", KIND_ENTRY, "cross_attention_dim"])
def test_a_missing_size_is_named(missing):
    params = {**RELEASED, KIND_ENTRY: "pbr"}
    del params[missing]
    with pytest.raises(KeyError, match=missing):
        PaintConfig.from_upstream(params)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"use_linear_projection": False}, "use_linear_projection"),
        ({"down_block_types": ["AttnDownBlock2D"] * 4}, "AttnDownBlock2D"),
        ({"up_block_types": ["UpBlock2D"] * 4}, "mirror"),
        ({"attention_head_dim": [5, 10, 20]}, "differ in number"),
        ({"attention_head_dim": 7}, "7 heads"),
        ({"class_embed_type": "timestep"}, "class_embed_type"),
        ({"layers_per_block": 0}, "below 1"),
        ({"attention_head_dim": [5, 10, -20, 20]}, "below 1"),
        ({"norm_eps": 1e-6}, "norm_eps"),
        ({"resnet_skip_time_act": True}, "resnet_skip_time_act"),
    ],
)
def test_networks_that_are_not_built_here_are_refused(change, named):
    with pytest.raises(ValueError, match=named):
        UnetConfig.from_upstream({**RELEASED, **change})


def test_heads_that_cannot_be_told_where_tokens_lie_are_refused_for_pbr():
    narrow = {**RELEASED, "attention_head_dim": [8, 16, 32, 32]}
    assert PaintConfig.from_upstream({**narrow, KIND_ENTRY: "colour"}).unet.heads[0] == 8
    with pytest.raises(ValueError, match="head of 40 channels"):
        PaintConfig.from_upstream({**narrow, KIND_ENTRY: "pbr"})


def test_one_number_of_heads_is_for_all_levels():
    assert UnetConfig.from_upstream({**RELEASED, "attention_head_dim": 5}).heads == (5,) * 4
