"""The published way of baking, as far as no recorded tensors show it."""

from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.texturing.cameras import STANDARD_VIEWS, OrthographicCamera
from backend.meshes.texturing.view_maps import NormalKind
from bench.parity.published_bake import (
    BakedTexture,
    PublishedSurface,
    looked_up,
    merged,
    seen_view,
    splatted,
)
from bench.parity.published_inpaint import navier_stokes, with_vertices
from tests.meshes.texturing import golden_render as golden

FRONT = STANDARD_VIEWS[0]


@pytest.fixture(scope="module")
def surface():
    return PublishedSurface(golden.unit_vertices(), golden.faces(), golden.arrays()["mesh.uv"], 64)


def ramp(side):
    """Colours that tell where a pixel is."""
    line = np.linspace(0, 1, side, dtype=np.float32)
    return np.stack([*np.meshgrid(line, line), np.zeros((side, side), np.float32)], axis=2)


@pytest.mark.parametrize("kind", list(NormalKind))
def test_texels_get_the_colour_of_where_they_are_seen(surface, kind):
    camera, picture = FRONT.camera, ramp(128)
    assert isinstance(camera, OrthographicCamera)
    seen = seen_view(surface, camera, 128, kind, 1)
    if kind is NormalKind.SMOOTH:
        baked = splatted(surface, seen, picture, FRONT.weight)
    else:
        baked = looked_up(surface, camera, seen, picture, FRONT.weight)
    given = baked.weights > 0
    assert given.sum() > 200
    inner = given & surface.texels.covered
    places = (camera.screen(surface.texel_places[inner])[:, :2] + 1) / 2
    off = np.abs(baked.colours[inner][:, :2] - places)
    assert np.median(off) < 0.01
    assert (baked.weights <= 1 + 1e-5).all()


def test_views_that_add_nothing_are_left_out():
    full = np.ones((4, 4), dtype=np.float32)
    half = full.copy()
    half[2:] = 0
    red, green = (np.zeros((4, 4, 3), dtype=np.float32) for _ in range(2))
    red[..., 0], green[..., 1] = 1, 1
    colours, painted = merged([BakedTexture(red, half), BakedTexture(green, full)])
    assert np.allclose(colours[0, 0], [0.5, 0.5, 0])
    assert np.allclose(colours[3, 3], [0, 1, 0])
    assert painted.all()
    colours, painted = merged([BakedTexture(red, half), BakedTexture(green, half)])
    assert np.allclose(colours[0, 0], [1, 0, 0])
    assert painted.sum() == 8


def test_vertices_take_the_mean_of_their_neighbours_by_distance():
    """A corner whose neighbours are 1 and 2 away: the nearer counts four times."""
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0]])
    uv = np.array([[0, 0], [1, 0], [0, 1]], dtype=np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 1]])
    surface = PublishedSurface(vertices, faces, uv, 8)
    colours, painted = np.zeros((8, 8, 3), np.float32), np.zeros((8, 8), np.bool_)
    colours[7, 7], colours[0, 0] = 1, 0
    painted[7, 7] = painted[0, 0] = True
    filled = with_vertices(surface, colours, painted)
    assert np.allclose(filled.colours[7, 0], 0.8)
    assert filled.is_painted.sum() == 3
    whole = navier_stokes((filled.colours * 255).astype(np.uint8), filled.is_painted)
    assert whole.shape == (8, 8, 3)
    assert whole[0, 0].tolist() == [0, 0, 0]
