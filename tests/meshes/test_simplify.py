from __future__ import annotations

import numpy as np
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


def _pinching(times):
    """Collapse as the library does, and pinch the result the first ``times`` times."""
    collapse, calls = module.fast_simplification.simplify, []

    def pinched(vertices, faces, target_count, agg):
        calls.append(target_count)
        if len(calls) > times:
            return collapse(vertices, faces, target_count=target_count, agg=agg)
        return _touching_itself(*collapse(vertices, faces, target_count=target_count - 4, agg=agg))

    return pinched, calls


def _touching_itself(vertices, faces):
    """Add a solid that shares the first edge of the first face."""
    a, b, _ = faces[0]
    outwards = vertices[[a, b]].mean(axis=0)
    along = vertices[b] - vertices[a]
    across = np.cross(outwards, along)
    across *= np.linalg.norm(along) / np.linalg.norm(across) / 4
    tips = np.array([1.1 * outwards + across, 1.1 * outwards - across], vertices.dtype)
    c, d = len(vertices), len(vertices) + 1
    solid = np.array([(a, b, c), (b, a, d), (a, c, d), (b, d, c)], faces.dtype)
    if np.dot(np.cross(along, tips[0] - vertices[a]), tips[1] - vertices[a]) > 0:
        solid = solid[:, ::-1]
    return np.concatenate([vertices, tips]), np.concatenate([faces, solid])


def test_an_edge_pinched_by_the_collapse_is_parted_and_no_face_too_many_is_left(monkeypatch):
    pinched, calls = _pinching(times=1)
    monkeypatch.setattr(module.fast_simplification, "simplify", pinched)
    found = simplify(sphere(subdivisions=5), 2000)
    assert found.method == "quadric"
    assert found.mesh.is_closed()
    assert len(found.mesh.faces) <= 2000
    assert calls == [2000, 2000]


def test_a_collapse_that_pinches_every_time_gives_a_closed_mesh_of_a_few_faces_more(monkeypatch):
    pinched, calls = _pinching(times=99)
    monkeypatch.setattr(module.fast_simplification, "simplify", pinched)
    found = simplify(sphere(subdivisions=5), 2000)
    assert found.mesh.is_closed()
    assert len(found.mesh.faces) < 2010
    assert len(calls) <= module.TRIM_ROUNDS
