from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.texturing.surface_layout import SurfaceLayout
from backend.meshes.texturing.unseen_colour import finer_surface
from backend.meshes.texturing.unseen_colour.finer_surface import finer
from backend.meshes.triangle_mesh import TriangleMesh
from tests.meshes.solids import box, sphere


@pytest.fixture(autouse=True)
def few_nodes(monkeypatch):
    monkeypatch.setattr(finer_surface, "NODES", 400)
    monkeypatch.setattr(finer_surface, "MOST_NODES", 1500)


def _every_face_apart(mesh):
    """Give every face its own place in the texture, so that all edges are seams."""
    corners = mesh.faces.reshape(-1).astype(np.int64)
    uv = np.random.default_rng(0).random((len(corners), 2)).astype(np.float32)
    return SurfaceLayout(corners, uv, np.arange(len(corners), dtype=np.int32).reshape(-1, 3))


def _area(mesh):
    return float(mesh.as_trimesh().area)


def test_a_box_gets_many_even_faces_without_gaps():
    mesh = box((1.0, 2.0, 0.5))
    fine, layout = finer(mesh, _every_face_apart(mesh))
    assert 300 < len(fine.vertices) < 1500
    assert fine.is_closed()
    assert fine.volume() == pytest.approx(1.0, rel=1e-5)
    assert _area(fine) == pytest.approx(_area(mesh), rel=1e-5)
    edges = fine.as_trimesh().edges_unique_length
    assert edges.max() < 4 * np.median(edges)
    assert (layout.sources[layout.faces] == fine.faces).all()


def test_places_in_the_texture_are_halved_with_the_edges():
    mesh = box((1.0, 2.0, 0.5))
    given = _every_face_apart(mesh)
    given = SurfaceLayout(given.sources, mesh.vertices[given.sources, :2] / 2, given.faces)
    fine, layout = finer(mesh, given)
    assert layout.uv == pytest.approx(fine.vertices[layout.sources, :2] / 2, abs=1e-6)


def test_a_fine_mesh_stays_as_it_is():
    mesh = sphere(0.5, 4)
    layout = _every_face_apart(mesh)
    assert finer(mesh, layout) == (mesh, layout)


def test_needles_and_faces_without_area_come_to_an_end():
    needle = TriangleMesh(
        np.array([[0, 0, 0], [1000, 0, 0], [0, 1e-3, 0]], np.float32),
        np.array([[0, 1, 2]], np.int32),
    )
    assert len(finer(needle, _every_face_apart(needle))[0].vertices) <= 1502
    flat = TriangleMesh(np.zeros((3, 3), np.float32), np.array([[0, 1, 2]], np.int32))
    assert finer(flat, _every_face_apart(flat))[0] is flat
