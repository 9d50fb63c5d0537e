from __future__ import annotations

import numpy as np
import pytest

from backend.catalog import BackSide, ShapeMode
from backend.engines.inflate import Inflate
from backend.engines.projection_texture import ProjectionTexture, TextureTask
from backend.engines.shape_task import ShapeTask
from backend.meshes.frame import to_metres
from backend.meshes.picture import Picture
from backend.progress import SilentSink, StageProgress
from tests.conftest import draw_figure
from tests.meshes.solids import disc_mask


@pytest.mark.parametrize("size_px", [256, 1024])
def test_the_texture_has_the_detail_of_the_picture_not_of_the_mask(size_px):
    large = np.asarray(draw_figure(512)).copy()
    large[250, 180:330] = (255, 255, 255, 255)  # a line that 128 px cannot show
    picture, working = Picture(large), Picture(large).scaled_to(128)
    mask = working.rgba[..., 3] > 127
    progress = StageProgress(SilentSink(), "texture_synthesis")
    task = ShapeTask(working.rgb, mask, ShapeMode.INFLATE, 48)
    (shape,) = Inflate().run([task], progress)
    mesh, frame = to_metres(shape.mesh, 1.0)
    order = TextureTask(mesh, picture, mask, frame, size_px, BackSide.AUTO)
    (textured,) = ProjectionTexture().run([order], progress)
    shows_the_line = (textured.texture.min(axis=2) > 220).sum() > 50
    assert shows_the_line == (size_px == 1024)
    assert max(textured.texture.shape) <= size_px + 1


def test_an_enlarged_picture_gets_no_rim_of_its_background():
    small = np.full((32, 32, 4), 255, dtype=np.uint8)
    small[disc_mask(32, 10), :3] = (200, 20, 20)
    picture = Picture(small)
    working = picture.scaled_to(256)
    mask = working.rgb[..., 1] < 128
    progress = StageProgress(SilentSink(), "texture_synthesis")
    (shape,) = Inflate().run([ShapeTask(working.rgb, mask, ShapeMode.INFLATE, 48)], progress)
    mesh, frame = to_metres(shape.mesh, 1.0)
    order = TextureTask(mesh, picture, mask, frame, 256, BackSide.AUTO)
    (textured,) = ProjectionTexture().run([order], progress)
    assert textured.texture[..., 1].max() < 90
