from __future__ import annotations

from dataclasses import replace

import pytest

from backend.models.hunyuan3d.shape_vae_config import HUNYUAN3D_20_VAE, ShapeVaeConfig
from backend.models.hunyuan3d.shape_vae_weights import upstream_shapes
from tests.models import golden_files
from tests.models.hunyuan3d.vae_golden import NAMES, RELEASED, TURBO_LIKE, config, published

UNTOLD = {"scale_factor": 0.9990943042622529, "include_pi": False}


@pytest.mark.parametrize("name", NAMES)
def test_shapes_tell_what_the_settings_tell(name):
    shapes = {key: each.shape for key, each in published(name).items()}
    assert ShapeVaeConfig.from_shapes(shapes, UNTOLD) == config(name)


def test_shapes_win_over_settings_that_tell_otherwise():
    """The settings published with the turbo decoders were not seen."""
    shapes = {key: each.shape for key, each in published(TURBO_LIKE).items()}
    found = ShapeVaeConfig.from_shapes(shapes, golden_files.config(RELEASED))
    assert found == config(TURBO_LIKE)
    assert (found.geo.width, found.geo.heads, found.geo.mlp_ratio) == (32, 2, 1)
    assert not found.geo.has_norm_out
    assert not found.geo.has_head_norms


@pytest.mark.parametrize("has_head_norms", [True, False])
def test_a_full_size_decoder_of_half_the_width_is_told_by_its_shapes(has_head_norms):
    narrow = replace(
        HUNYUAN3D_20_VAE.geo, width=512, heads=8, mlp_ratio=1, has_head_norms=has_head_norms
    )
    wanted = replace(
        HUNYUAN3D_20_VAE, geo=narrow, has_head_norms=has_head_norms, qkv_bias=has_head_norms
    )
    wanted = replace(wanted, geo=replace(narrow, qkv_bias=has_head_norms))
    found = ShapeVaeConfig.from_shapes(upstream_shapes(wanted), UNTOLD | {"heads": 16})
    assert found == wanted


@pytest.mark.parametrize("missing", ["width", "embed_dim", "num_decoder_layers", "scale_factor"])
def test_what_differs_between_models_must_be_told(missing):
    params = {key: value for key, value in golden_files.config(RELEASED).items() if key != missing}
    with pytest.raises(KeyError, match=missing):
        ShapeVaeConfig.from_upstream(params)
