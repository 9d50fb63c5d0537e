from __future__ import annotations

import numpy as np

from backend.meshes.box_faces import faces_by_box
from tests.meshes.source_shapes import ball_of_face, three_balls

WHOLE = [[-1, -1, -1], [5, 1, 1]]
FIRST = [[-0.6] * 3, [0.6] * 3]


def boxes(*corners):
    return np.array(corners, dtype=np.float32)


def test_a_face_belongs_to_the_smallest_box_that_holds_its_centre():
    mesh = three_balls(1)
    balls = ball_of_face(mesh)
    last = [[3.4, -0.6, -0.6], [4.6, 0.6, 0.6]]
    found = faces_by_box(mesh, boxes(FIRST, WHOLE, last))
    assert (found == np.array([0, 1, 2])[balls]).all()
    assert (faces_by_box(mesh, boxes(FIRST, last)) == np.array([0, -1, 1])[balls]).all()


def test_of_two_boxes_of_one_size_the_first_has_it():
    found = faces_by_box(three_balls(1), boxes(WHOLE, WHOLE))
    assert (found == 0).all()


def test_it_agrees_with_asking_each_face_of_each_box():
    mesh = three_balls(1)
    drawn = np.random.default_rng(1).uniform(-1, 5, (40, 2, 3)).astype(np.float32)
    some = np.sort(drawn, axis=1)
    centres = mesh.vertices[mesh.faces].mean(axis=1, dtype=np.float64)
    for face, found in enumerate(faces_by_box(mesh, some)):
        holding = [
            number
            for number, (low, high) in enumerate(some.astype(np.float64))
            if ((centres[face] >= low) & (centres[face] <= high)).all()
        ]
        sizes = [np.prod(some[number, 1] - some[number, 0]) for number in holding]
        assert found == (holding[int(np.argmin(sizes))] if holding else -1)
