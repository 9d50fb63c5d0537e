from __future__ import annotations

import numpy as np

from backend.meshes.floaters import bodies_of_faces, without_crumbs, without_floaters
from tests.meshes.solids import box, sphere, together


def test_a_crumb_goes_and_what_is_left_is_the_body_itself():
    ball = sphere(subdivisions=4)  # 5120 faces
    found = without_floaters(together(box(centre=(3, 0, 0)), ball, box(centre=(0, 3, 0))))
    assert found.dropped_bodies == 2
    assert found.dropped_faces == 24
    assert np.array_equal(found.mesh.vertices, ball.vertices)
    assert np.array_equal(found.mesh.faces, ball.faces)
    assert found.mesh.faces.dtype == np.int32


def test_a_body_at_the_share_stays():
    both = together(sphere(subdivisions=3), box(centre=(3, 0, 0)))  # 1280 and 12 faces
    assert without_floaters(both, 12 / 1292).mesh is both
    assert without_floaters(both, 12.5 / 1292).dropped_bodies == 1
    assert without_floaters(both, 0).mesh is both


def test_the_largest_stays_even_where_all_are_small():
    boxes = together(box(), box(centre=(3, 0, 0)), box(centre=(6, 0, 0)))
    found = without_floaters(boxes, 0.9)
    assert found.dropped_bodies == 2
    assert len(found.mesh.faces) == 12


def test_a_vertex_without_faces_is_no_body():
    ball = sphere()
    loose = type(ball)(np.concatenate([ball.vertices, [[9, 9, 9]]]).astype(np.float32), ball.faces)
    assert set(bodies_of_faces(loose)) == {0}
    assert without_floaters(loose).dropped_bodies == 0


def test_crumbs_are_small_beside_the_largest_body():
    ball = sphere(subdivisions=3)  # 1280 faces
    found = without_crumbs(together(box(centre=(3, 0, 0)), ball), 12.5 / 1280)
    assert found.dropped_faces == 12
    assert np.array_equal(found.mesh.faces, ball.faces)


def test_many_equal_bodies_are_no_crumbs():
    boxes = together(*(box(centre=(3.0 * number, 0, 0)) for number in range(30)))
    assert without_crumbs(boxes, 0.5).mesh is boxes
