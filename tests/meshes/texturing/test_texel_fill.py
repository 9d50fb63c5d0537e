"""Hidden texels take the colours of what lies near on the surface."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from backend.meshes.texturing import texel_fill
from backend.meshes.texturing.surface_bodies import bodies_of
from backend.meshes.texturing.surface_layout import SurfaceLayout
from backend.meshes.texturing.texel_fill import fill_hidden
from backend.meshes.texturing.texel_map import texels_of
from backend.meshes.texturing.unwrapping import unwrap
from backend.meshes.texturing.view_baking import PaintedTexels
from backend.meshes.triangle_mesh import TriangleMesh, vertex_normals
from tests.meshes.texturing import golden_render as golden


@pytest.fixture(scope="module")
def texels():
    return texels_of(golden.layout(), golden.unit_vertices(), golden.normals(), 160)


def painted(texels, colours, is_painted):
    shown = np.where(is_painted[:, None], colours, 0).astype(np.float32)
    return PaintedTexels(shown, is_painted)


def test_nothing_painted_leaves_nothing_to_go_by(texels):
    nothing = np.zeros(len(texels), dtype=bool)
    assert fill_hidden(texels, painted(texels, texels.positions, nothing)) is None


def test_painted_texels_stay_and_even_colours_spread(texels):
    front = texels.normals[:, 2] > 0.2
    even = np.tile(np.float32([0.2, 0.4, 0.9, 0.1]), (len(texels), 1))
    told = []
    filled = fill_hidden(texels, painted(texels, even, front), tell=lambda *step: told.append(step))
    assert np.allclose(filled, even, atol=1e-6)
    assert told[-1] == (int((~front).sum()), int((~front).sum()))
    everything = painted(texels, texels.positions, np.ones(len(texels), dtype=bool))
    assert np.array_equal(fill_hidden(texels, everything), texels.positions)


def test_a_single_painted_texel_colours_all(texels):
    one = np.zeros(len(texels), dtype=bool)
    one[77] = True
    filled = fill_hidden(texels, painted(texels, np.full((len(texels), 1), 0.7), one))
    assert np.allclose(filled, 0.7)


def test_looking_at_some_texels_is_as_good_as_looking_at_all(texels, monkeypatch):
    colours = 0.5 + 0.5 * np.sin(texels.positions * 9)
    seen = texels.normals[:, 2] > -0.3
    given = painted(texels, colours, seen)
    exact = np.abs(fill_hidden(texels, given) - colours)[~seen].mean()
    monkeypatch.setattr(texel_fill, "QUERIES", 300)
    monkeypatch.setattr(texel_fill, "SOURCES", 1500)
    coarse = np.abs(fill_hidden(texels, given) - colours)[~seen].mean()
    mean = np.abs(colours[seen].mean(axis=0) - colours)[~seen].mean()
    assert exact < 0.6 * mean
    assert coarse < 1.1 * exact


def test_what_is_far_from_all_that_is_painted_takes_about_the_nearest(texels, monkeypatch):
    colours = 0.5 + 0.5 * np.sin(texels.positions * 9)
    given = painted(texels, colours, texels.positions[:, 0] > 0.3)
    quick = fill_hidden(texels, given)
    monkeypatch.setattr(texel_fill, "NEARLY", 0.0)
    exact = fill_hidden(texels, given)
    off, least = (np.abs(found - colours)[~given.is_painted].mean() for found in (quick, exact))
    assert off < 1.05 * least
    assert np.abs(quick - exact).mean() < 0.03


def test_the_two_sides_of_a_thin_wall_stay_apart():
    square = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) * 0.4
    vertices = np.concatenate([square, square - [0, 0, 0.01]])
    faces = np.array([[0, 1, 2], [0, 2, 3], [4, 6, 5], [4, 7, 6]], dtype=np.int32)
    uv = (square[:, :2] / 0.8 + 0.5) * [0.5, 1]
    layout = SurfaceLayout(np.arange(8), np.concatenate([uv, uv + np.array([0.5, 0])]), faces)
    normals = np.repeat([[0, 0, 1.0], [0, 0, -1.0]], 4, axis=0)
    wall = texels_of(layout, vertices, normals, 64)
    is_front = wall.normals[:, 2] > 0
    hidden = np.abs(wall.positions[:, 0]) < 0.05
    filled = fill_hidden(wall, painted(wall, is_front[:, None], ~hidden))
    assert np.array_equal(filled[:, 0] > 0.5, is_front)


@pytest.fixture(scope="module")
def touching_cubes():
    """Texels of two cubes that touch, and which of the two each belongs to."""
    boxes = [trimesh.creation.box((1, 1, 1)), trimesh.creation.box((0.8, 0.8, 0.8))]
    boxes[1].apply_translation((0.9, 0, 0))
    joined = trimesh.util.concatenate(boxes)
    mesh = TriangleMesh(joined.vertices.astype(np.float32), joined.faces.astype(np.int32))
    texels = texels_of(unwrap(mesh, resolution=96), mesh.vertices, vertex_normals(mesh), 96)
    return texels, bodies_of(mesh.vertices, mesh.faces)[texels.face_ids]


@pytest.mark.parametrize("queries", [300, 16_000])
def test_colours_do_not_leak_into_a_body_that_touches(touching_cubes, queries, monkeypatch):
    monkeypatch.setattr(texel_fill, "QUERIES", queries)
    texels, bodies = touching_cubes
    own = bodies[:, None].astype(np.float32)
    given = painted(texels, own, texels.normals[:, 2] > 0.5)
    assert np.abs(fill_hidden(texels, given) - own).max() > 0.5
    assert np.allclose(fill_hidden(texels, given, bodies=bodies), own, atol=1e-4)


def test_a_body_that_no_picture_shows_takes_what_is_nearest(touching_cubes):
    texels, bodies = touching_cubes
    given = painted(texels, np.full((len(texels), 1), 0.3), bodies == 0)
    told = []
    filled = fill_hidden(texels, given, bodies=bodies, tell=lambda *step: told.append(step))
    assert np.allclose(filled, 0.3)
    hidden = int((bodies == 1).sum())
    assert told[-1] == (hidden, hidden)


def test_a_body_with_little_paint_keeps_to_it(touching_cubes):
    texels, bodies = touching_cubes
    seen = bodies == 0
    seen[np.flatnonzero(~seen)[5]] = True
    filled = fill_hidden(texels, painted(texels, bodies[:, None], seen), bodies=bodies)
    assert np.allclose(filled[bodies == 1], 1, atol=1e-4)
