from __future__ import annotations

import numpy as np

from backend.meshes.parts.bodies import MOST_BODIES, SPREAD_BODIES, gather_bodies
from backend.meshes.parts.welding import weld
from tests.meshes.solids import box, together


def _gathered(*meshes):
    mesh = together(*meshes)
    welded = weld(mesh.vertices, mesh.faces)
    return welded, gather_bodies(welded)


def test_large_bodies_stand_alone():
    _, bodies = _gathered(box(), box((0.5, 0.5, 0.5), (3, 0, 0)))
    assert bodies.count == 2
    assert not bodies.is_crumb.any()
    assert bodies.of_faces.tolist() == [0] * 12 + [1] * 12


def test_crumbs_go_with_the_nearest_body():
    left, right = box(), box(centre=(5, 0, 0))
    crumb = box((0.02, 0.02, 0.02), (3.5, 0.5, 0))
    _, bodies = _gathered(left, crumb, right)
    assert bodies.count == 2
    assert bodies.is_crumb.tolist() == [False] * 12 + [True] * 12 + [False] * 12
    assert set(bodies.of_faces[12:24]) == set(bodies.of_faces[24:])


def test_hundreds_of_like_bodies_give_a_few_that_lie_apart():
    places = np.random.default_rng(0).uniform(-9, 9, (300, 3))
    _, bodies = _gathered(*(box((0.2, 0.2, 0.2), place) for place in places))
    assert bodies.count == SPREAD_BODIES
    assert len(np.unique(bodies.of_faces)) == SPREAD_BODIES


def test_there_is_a_limit_to_large_bodies():
    _, bodies = _gathered(*(box((0.2, 0.2, 0.2), (i, 0, 0)) for i in range(100)))
    assert bodies.count == MOST_BODIES
