from __future__ import annotations

import numpy as np
import pytest

from backend.catalog import BackSide, ShapeMode
from backend.engines.inflate import Inflate
from backend.engines.projection_texture import ProjectionTexture
from backend.engines.shape_task import ShapeTask
from backend.engines.texture_task import ReferencePicture, TextureTask
from backend.errors import JobCanceled
from backend.meshes.frame import PictureFrame, to_metres
from backend.meshes.picture import Picture
from backend.meshes.texturing.two_sided_layout import two_sided_layout
from backend.meshes.texturing.unseen_colour import finer_surface
from backend.progress import SilentSink, StageProgress
from tests.conftest import draw_figure
from tests.meshes.solids import box, disc_mask, sphere, together


@pytest.fixture(autouse=True)
def few_nodes(monkeypatch):
    monkeypatch.setattr(finer_surface, "NODES", 4000)


@pytest.mark.parametrize("size_px", [128, 512])
def test_the_texture_has_the_detail_of_the_picture_not_of_the_mask(size_px):
    large = np.asarray(draw_figure(256)).copy()
    large[125, 90:165] = (255, 255, 255, 255)  # a line that 64 px cannot show
    picture, working = Picture(large), Picture(large).scaled_to(64)
    mask = working.rgba[..., 3] > 127
    progress = StageProgress(SilentSink(), "texture_synthesis")
    task = ShapeTask(working.rgb, mask, ShapeMode.INFLATE, 48)
    (shape,) = Inflate().run([task], progress)
    mesh, frame = to_metres(shape.mesh, 1.0)
    order = TextureTask(mesh, (ReferencePicture(picture, mask, frame),), size_px, BackSide.AUTO)
    (made,) = ProjectionTexture().run([order], progress)
    shows_the_line = (made.mesh.texture.min(axis=2) > 220).sum() > 25
    assert shows_the_line == (size_px == 512)
    assert max(made.mesh.texture.shape) <= size_px + 1


def test_an_enlarged_picture_gets_no_rim_of_its_background():
    small = np.full((32, 32, 4), 255, dtype=np.uint8)
    small[disc_mask(32, 10), :3] = (200, 20, 20)
    picture = Picture(small)
    working = picture.scaled_to(256)
    mask = working.rgb[..., 1] < 128
    progress = StageProgress(SilentSink(), "texture_synthesis")
    (shape,) = Inflate().run([ShapeTask(working.rgb, mask, ShapeMode.INFLATE, 48)], progress)
    mesh, frame = to_metres(shape.mesh, 1.0)
    order = TextureTask(mesh, (ReferencePicture(picture, mask, frame),), 256, BackSide.AUTO)
    (made,) = ProjectionTexture().run([order], progress)
    assert made.mesh.texture[..., 1].max() < 90


def _disc(azimuth_deg=0.0, colour=(200, 20, 20), centre_x_px=63.5):
    rgba = np.full((128, 128, 4), 255, dtype=np.uint8)
    mask = disc_mask(128, 50)
    rgba[mask, :3] = colour
    frame = PictureFrame(centre_x_px, 63.5, 1 / 100)
    return ReferencePicture(Picture(rgba), mask, frame, azimuth_deg)


def _run(*tasks, sink=None):
    return ProjectionTexture().run(list(tasks), StageProgress(sink or SilentSink(), "texture"))


def test_what_was_found_is_told_in_plain_figures():
    cart = together(box((0.9, 0.4, 0.3), (0, 0, 0)), box((0.3, 0.2, 0.2), (0.3, 0.3, 0)))
    (made,) = _run(TextureTask(cart, (_disc(),), 128))
    facts = made.facts
    assert facts["back_side"] == "auto"
    assert facts["symmetry"]["accepted"] is True
    assert facts["symmetry"]["plane_azimuth_deg"] == pytest.approx(0, abs=1)
    assert 0 <= facts["symmetry"]["distance_spacings"] < 1
    assert sum(facts["area_shares"].values()) == pytest.approx(1, abs=1e-3)
    assert made.notice == ""
    (plain,) = _run(TextureTask(cart, (_disc(),), 128, BackSide.PLAIN))
    assert plain.facts["symmetry"] is None


def test_a_mesh_of_any_shape_gets_a_layout_and_one_given_is_kept():
    ball = sphere(0.5, 2)
    (made,) = _run(TextureTask(ball, (_disc(),), 128))
    assert made.mesh.texture.shape == (128, 128, 3)
    assert len(made.mesh.faces) == len(ball.faces)
    places = made.mesh.vertices[made.mesh.faces]
    assert (places == ball.vertices[ball.faces]).all()
    assert 0 <= made.mesh.uv.min() <= made.mesh.uv.max() <= 1
    layout = two_sided_layout(ball)
    (kept,) = _run(TextureTask(ball, (_disc(),), 128, layout=layout))
    assert (kept.mesh.uv == layout.uv).all()


def test_a_picture_of_the_back_colours_the_back():
    blue = _disc(180.0, (20, 20, 200))
    (made,) = _run(TextureTask(sphere(0.5, 4), (_disc(), blue), 128, is_inflated=True))
    facing = made.mesh.normals[made.mesh.faces].mean(axis=1)[:, 2]
    for chosen, channel in ((facing > 0.5, 0), (facing < -0.5, 2)):
        uv = made.mesh.uv[made.mesh.faces[chosen]].mean(axis=1)
        texels = made.mesh.texture[((1 - uv[:, 1]) * 128).astype(int), (uv[:, 0] * 128).astype(int)]
        assert (texels.argmax(axis=1) == channel).all()


def test_a_darker_picture_of_a_side_leaves_no_edge_and_its_gain_is_told():
    darker = _disc(90.0, (150, 60, 45))
    task = TextureTask(sphere(0.5, 4), (_disc(colour=(200, 80, 60)), darker), 128)
    (made,) = _run(task)
    facing = made.mesh.normals[made.mesh.faces].mean(axis=1)
    shown = made.mesh.uv[made.mesh.faces[(facing[:, 0] > 0.3) | (facing[:, 2] > 0.3)]].mean(axis=1)
    texels = made.mesh.texture[
        ((1 - shown[:, 1]) * 128).astype(int), (shown[:, 0] * 128).astype(int)
    ]
    assert np.abs(texels.astype(int) - (200, 80, 60)).max() <= 4
    front, side = made.facts["exposure_gains"]
    assert front == {"azimuth_deg": 0.0, "rgb": [1, 1, 1]}
    assert side["azimuth_deg"] == 90.0
    assert side["rgb"] == pytest.approx([200 / 150, 80 / 60, 60 / 45], abs=0.02)


def test_a_picture_beside_the_model_is_said():
    (made,) = _run(TextureTask(sphere(0.5, 2), (_disc(centre_x_px=5000.0),), 64))
    assert "does not show the model" in made.notice
    assert (made.mesh.texture == (200, 20, 20)).all()


class _Stopping(SilentSink):
    def __init__(self, after):
        self.steps, self._after = [], after

    def stage_progress(self, stage, step, steps):
        self.steps.append((step, steps))

    def is_canceled(self):
        return len(self.steps) >= self._after


def test_steps_rise_through_a_batch_and_stop_when_asked():
    task = TextureTask(sphere(0.5, 2), (_disc(),), 64)
    sink = _Stopping(after=1000)
    _run(task, task, sink=sink)
    assert sink.steps == sorted(sink.steps)
    assert sink.steps[0][0] == 0
    assert sink.steps[-1][0] == sink.steps[-1][1]
    with pytest.raises(JobCanceled):
        _run(task, task, sink=_Stopping(after=6))
