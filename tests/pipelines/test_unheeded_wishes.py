"""Settings of networks are not dropped in silence where no network runs."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from backend.engines.hunyuan3d_paint import Hunyuan3DPaint
from backend.engines.projection_texture import ProjectionTexture
from backend.engines.texture_task import TextureWishes
from backend.parameters import TextureParams
from backend.pipelines.image_to_3d import texture_wishes
from backend.pipelines.unheeded_wishes import unheeded_wishes, warn_of_unheeded

OF_NETWORKS = {
    "texture_model": "hunyuan3d-paint-2.1",
    "texture_steps": 20,
    "texture_guidance": 2.0,
    "texture_views": 6,
    "view_px": 512,
    "delight": False,
    "upscale": True,
}


def warnings(engine, wishes):
    told = []
    warn_of_unheeded(engine, wishes, SimpleNamespace(warn=told.append))
    return told


@pytest.mark.parametrize("name", OF_NETWORKS)
def test_every_parameter_of_networks_is_named(name):
    params = TextureParams(**{name: OF_NETWORKS[name]})
    wishes = texture_wishes("standard", params)
    assert unheeded_wishes(wishes) == [name]
    (warning,) = warnings(ProjectionTexture(), wishes)
    assert "made by projection" in warning
    assert name in warning


def test_there_is_no_warning_without_wishes_or_with_a_network():
    assert warnings(ProjectionTexture(), TextureWishes("high")) == []
    network = SimpleNamespace(name=Hunyuan3DPaint.name)
    assert warnings(network, TextureWishes(steps=20)) == []
    assert not hasattr(Hunyuan3DPaint, "heeds_wishes") or Hunyuan3DPaint.heeds_wishes
