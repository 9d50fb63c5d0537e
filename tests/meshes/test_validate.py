from __future__ import annotations

import numpy as np
import pytest

from backend.errors import MeshInvalid, NoSurfaceFound
from backend.meshes import validate as module
from backend.meshes.triangle_mesh import TriangleMesh
from backend.meshes.validate import validate
from tests.meshes.solids import box, sphere, together


def test_a_box_is_described():
    facts = validate(box((1, 2, 0.5)))
    assert facts == {
        "vertices": 8,
        "faces": 12,
        "bodies": 1,
        "closed": True,
        "volume_m3": 1.0,
        "extents_m": [1.0, 2.0, 0.5],
    }


def test_bodies_are_counted():
    far = box(centre=(5, 0, 0))
    assert validate(together(box(), far, sphere()))["bodies"] == 3


def _broken(change) -> TriangleMesh:
    ball = sphere()
    vertices, faces = ball.vertices.copy(), ball.faces.copy()
    return TriangleMesh(*change(vertices, faces))


def _not_finite(vertices, faces):
    vertices[3, 1] = np.nan
    return vertices, faces


def _one_flipped(vertices, faces):
    faces[0] = faces[0, ::-1]
    return vertices, faces


DEFECTS = {
    "a hole": (lambda v, f: (v, f[1:]), MeshInvalid, "not closed"),
    "not finite": (_not_finite, MeshInvalid, "finite"),
    "one face flipped": (_one_flipped, MeshInvalid, "oriented"),
    "inside out": (lambda v, f: (v, f[:, ::-1]), MeshInvalid, "inside out"),
    "huge": (lambda v, f: (v * np.float32(1e5), f), MeshInvalid, "longest side"),
    "minute": (lambda v, f: (v * np.float32(1e-6), f), MeshInvalid, "longest side"),
    "no such vertex": (lambda v, f: (v[:-1], f), MeshInvalid, "do not exist"),
    "empty": (lambda v, f: (v, f[:0]), NoSurfaceFound, "0 faces"),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_every_defect_is_caught_and_named(defect):
    change, error, words = DEFECTS[defect]
    with pytest.raises(error, match=words):
        validate(_broken(change))


def test_too_many_faces_are_refused(monkeypatch):
    monkeypatch.setattr(module, "MAX_FACES", 100)
    with pytest.raises(MeshInvalid, match="faces"):
        validate(sphere())
