"""Pictures end up on the texels that they show, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.texturing.cameras import STANDARD_VIEWS, OrthographicCamera
from backend.meshes.texturing.fragments import interpolate
from backend.meshes.texturing.rasteriser import PixelRule, rasterise
from backend.meshes.texturing.sampling import sample
from backend.meshes.texturing.sight import look
from backend.meshes.texturing.surface_layout import SurfaceLayout
from backend.meshes.texturing.texel_map import texels_of
from backend.meshes.texturing.view_baking import BakedView, bake_view, bake_views, merge_views
from tests.meshes.texturing import golden_render as golden

FRONT = OrthographicCamera(0)


@pytest.fixture(scope="module")
def texels():
    return texels_of(golden.layout(), golden.unit_vertices(), golden.normals(), 160)


def pictures(size, rule=PixelRule.CENTRED):
    """The known colours, from all sides."""
    vertices, faces = golden.unit_vertices(), golden.faces()
    for view in STANDARD_VIEWS:
        found = rasterise(view.camera.screen(vertices), faces, size, size, rule)
        yield interpolate(golden.arrays()["mesh.color"], faces, found)


def test_known_colours_come_back(texels):
    vertices, faces = golden.unit_vertices(), golden.faces()
    told = []
    taken = list(pictures(256))
    painted = bake_views(
        texels, vertices, faces, STANDARD_VIEWS, taken, tell=lambda *step: told.append(step)
    )
    true = texels.interpolate(golden.arrays()["mesh.color"], faces)
    error = np.abs(painted.colours - true)[painted.is_painted]
    assert painted.is_painted.mean() > 0.88
    assert error.mean() < 0.0002  # the published splat, from the same pictures: 0.00085
    assert told == [(done, 6) for done in range(1, 7)]
    whole = [np.rint(picture * 255).astype(np.uint8) for picture in taken[:2]]
    levels = bake_views(texels, vertices, faces, STANDARD_VIEWS[:2], whole)
    assert np.abs(levels.colours - true)[levels.is_painted].mean() < 0.00085
    assert not levels.colours[~levels.is_painted].any()


def plates(gap=0.2):
    """A square, a smaller one before its middle, and their atlas side by side."""
    square = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) * 0.4
    vertices = np.concatenate([square, square * 0.5 + [0, 0, gap]])
    faces = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]], dtype=np.int32)
    uv = (square[:, :2] / 0.8 + 0.5) * [0.5, 1]
    layout = SurfaceLayout(np.arange(8), np.concatenate([uv, uv + np.array([0.5, 0])]), faces)
    normals = np.tile([0, 0, 1.0], (8, 1))
    return vertices, faces, texels_of(layout, vertices, normals, 64)


def test_what_lies_behind_something_is_not_painted():
    vertices, faces, texels = plates()
    baked = bake_view(texels, vertices, faces, FRONT, np.ones((200, 200, 1), np.float32))
    painted = np.zeros(len(texels), dtype=bool)
    painted[baked.texels] = True
    behind = (texels.face_ids < 2) & (np.abs(texels.positions[:, :2]) < 0.2).all(axis=1)
    inner = (np.abs(texels.positions[:, :2]) > 0.23).any(axis=1)
    inner &= (np.abs(texels.positions[:, :2]) < 0.37).all(axis=1)
    assert not painted[behind].any()
    assert painted[(texels.face_ids < 2) & inner].all()
    middle = (np.abs(texels.positions[:, :2]) < 0.17).all(axis=1)
    assert painted[(texels.face_ids >= 2) & middle].all()
    assert np.allclose(baked.weights, 1)


@pytest.mark.parametrize(("azimuth", "gap"), [(0, 0.004), (30, 0.0055), (60, 0.012)])
def test_what_lies_close_behind_something_is_not_painted(azimuth, gap):
    """Like a shirt over a body: hidden by less than a pixel of a steep surface is deep."""
    vertices, faces, texels = plates(gap)
    camera, picture = OrthographicCamera(azimuth), np.ones((256, 256, 1), np.float32)
    baked = bake_view(texels, vertices, faces, camera, picture)
    behind = (texels.face_ids < 2) & (np.abs(texels.positions[:, :2]) < 0.17).all(axis=1)
    front = (texels.face_ids >= 2) & (np.abs(texels.positions[:, :2]) < 0.17).all(axis=1)
    painted = np.isin(np.arange(len(texels)), baked.texels)
    assert not painted[behind].any()
    assert painted[front].all()


def test_outlines_and_steps_in_the_depth_are_kept_away_from():
    vertices, faces, texels = plates()
    picture = np.ones((100, 100, 1), np.float32)
    narrow, wide = (
        bake_view(texels, vertices, faces, FRONT, picture, erosion_px=px) for px in (1, 6)
    )
    pixel = 1.2 / 100
    for baked, kept in ((narrow, 1), (wide, 6)):
        at = np.abs(texels.positions[baked.texels, :2]).max(axis=1)
        assert at.max() < 0.4 - kept * pixel
        assert (np.abs(at[texels.face_ids[baked.texels] < 2] - 0.2) > kept * pixel).all()
    assert len(wide.texels) < len(narrow.texels)


def test_steep_places_and_backs_are_left_to_others():
    vertices, faces, texels = plates()
    picture = np.ones((100, 100, 3), np.float32)
    assert not len(bake_view(texels, vertices, faces, OrthographicCamera(76), picture).texels)
    assert not len(bake_view(texels, vertices, faces, OrthographicCamera(180), picture).texels)
    slanted = bake_view(texels, vertices, faces, OrthographicCamera(60), picture, weight=0.5)
    assert np.allclose(slanted.weights, 0.5 * 0.5**4, rtol=1e-3)


def test_views_are_averaged_by_weight():
    first = BakedView(np.array([0, 1]), np.array([[1.0], [0.2]], np.float32), np.full(2, 0.3, "f4"))
    second = BakedView(
        np.array([1, 2]), np.array([[0.6], [0.8]], np.float32), np.full(2, 0.1, "f4")
    )
    merged = merge_views([first, second], 4, 1)
    assert np.allclose(merged.colours[:, 0], [1, 0.3, 0.8, 0])
    assert merged.is_painted.tolist() == [True, True, True, False]


def test_one_pixel_rule_throughout():
    """A ramp across the picture comes back exactly, with either rule."""
    vertices, faces, texels = plates()
    for rule in PixelRule:
        ramp = np.tile(rule.centres(90)[None, :, None], (90, 1, 1)).astype(np.float32)
        baked = bake_view(texels, vertices, faces, FRONT, ramp, rule=rule)
        across = texels.positions[baked.texels, 0] / 0.6
        assert np.abs(baked.colours[:, 0] - across).max() < 1e-5


def test_samples_between_pixels_and_beyond_the_border():
    picture = np.array([[[0, 255], [255, 0]], [[0, 255], [255, 255]]], dtype=np.uint8)
    values = sample(picture, np.array([0, 0.25, 0.5, -3, 9]), np.array([0, 0, 0.5, 0.5, 9.0]))
    assert np.allclose(values, [[0, 1], [0.25, 0.75], [0.5, 0.75], [0, 1], [1, 1]])


@pytest.mark.parametrize("shape", [(40, 40), (512, 512), (2000, 1500)])
def test_what_is_seen_does_not_depend_on_the_size_of_the_picture(shape):
    vertices, faces, _ = plates()
    sight = look(vertices, faces, FRONT, shape, 1)
    assert max(sight.depths.shape) == 1024
    middle = np.array([[0, 0, 1.45 - 0.2], [0, 0, 1.45], [0.5, 0.5, 1.45], [0, 3, 1.45]])
    assert sight.sees(middle, np.ones(4)).tolist() == [True, False, True, False]
