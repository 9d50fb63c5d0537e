from __future__ import annotations

import numpy as np

from backend.meshes.parts.bodies import MOST_BODIES, MOST_SEARCHED, SPREAD_BODIES, gather_bodies
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


def test_hundreds_of_like_bodies_are_a_part_each():
    places = np.random.default_rng(0).uniform(-9, 9, (300, 3))
    _, bodies = _gathered(*(box((0.2, 0.2, 0.2), place) for place in places))
    assert bodies.count == 300
    assert not bodies.is_crumb.any()
    assert len(np.unique(bodies.of_faces)) == 300


def test_more_bodies_than_there_may_be_parts_give_a_few_groups_that_lie_apart():
    places = np.random.default_rng(0).uniform(-9, 9, (MOST_BODIES + 64, 3))
    _, bodies = _gathered(*(box((0.2, 0.2, 0.2), place) for place in places))
    assert bodies.count == SPREAD_BODIES
    assert len(np.unique(bodies.of_faces)) == SPREAD_BODIES


def test_parts_are_looked_for_on_the_largest_only():
    sizes = np.linspace(0.2, 0.3, 100)
    boxes = [box((size, size, size), (i, 0, 0)) for i, size in enumerate(sizes)]
    _, bodies = _gathered(*boxes)
    assert bodies.count == 100
    assert bodies.searched_count == MOST_SEARCHED
    assert bodies.is_whole.reshape(100, 12).all(axis=1).tolist() == [True] * 36 + [False] * 64


def test_bolts_are_bodies_and_what_is_as_small_among_crumbs_is_not():
    hull = box((1, 1, 1))
    bolts = [box((0.04, 0.04, 0.04), (i, 0, 0)) for i in range(2, 5)]
    _, with_bolts = _gathered(hull, *bolts)
    assert with_bolts.count == 4
    places = np.random.default_rng(0).uniform(-9, 9, (50, 3))
    _, scan = _gathered(hull, *bolts, *(box((0.005, 0.005, 0.005), place) for place in places))
    assert scan.count == 1
