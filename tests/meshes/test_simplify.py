from __future__ import annotations

import pytest

from backend.meshes import simplify as module
from backend.meshes.simplify import simplify
from tests.meshes.solids import sphere


def test_a_ball_keeps_its_shape_with_fewer_faces():
    ball = sphere(subdivisions=5)
    found = simplify(ball, 2000)
    assert found.method == "quadric"
    assert len(found.mesh.faces) <= 2000
    assert found.mesh.is_closed()
    assert found.mesh.volume() == pytest.approx(ball.volume(), rel=0.02)


def test_a_small_mesh_is_left_alone():
    ball = sphere()
    assert simplify(ball, 10_000).mesh is ball


def test_when_collapse_opens_the_surface_the_gentle_way_keeps_it_closed(monkeypatch):
    def torn(vertices, faces, **_):
        return vertices, faces[: len(faces) // 2]

    monkeypatch.setattr(module.fast_simplification, "simplify", torn)
    found = simplify(sphere(subdivisions=5), 4000)
    assert found.method == "manifold"
    assert found.mesh.is_closed()
    assert len(found.mesh.faces) <= 4000


def test_when_nothing_helps_the_mesh_is_kept(monkeypatch):
    monkeypatch.setattr(
        module.fast_simplification, "simplify", lambda vertices, faces, **_: (vertices, faces[:9])
    )
    monkeypatch.setattr(module, "_keep_manifold", lambda *_: None)
    ball = sphere(subdivisions=4)
    found = simplify(ball, 100)
    assert found.method == "none"
    assert found.mesh is ball
