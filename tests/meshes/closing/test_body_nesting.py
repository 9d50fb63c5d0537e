from __future__ import annotations

import numpy as np

from backend.meshes.closing.body_nesting import bodies_to_turn, body_boxes, inside_out


def _box(half, centre=0.0) -> list[list[float]]:
    return [[centre - half] * 3, [centre + half] * 3]


def test_a_hollow_is_not_inside_out_but_a_body_beside_is():
    boxes = np.array([_box(2), _box(1), _box(1, centre=9)])
    assert inside_out(np.array([64.0, -8.0, -8.0]), boxes).tolist() == [False, False, True]


def test_a_hollow_that_would_leave_nothing_is_no_hollow():
    boxes = np.array([_box(2), _box(2)])
    assert inside_out(np.array([64.0, -63.999]), boxes).tolist() == [False, True]


def test_a_hollow_body_that_is_inside_out_is_turned_as_a_whole():
    boxes = np.array([_box(2), _box(1)])
    assert bodies_to_turn(np.array([-64.0, 8.0]), boxes).tolist() == [True, True]
    assert bodies_to_turn(np.array([64.0, -8.0]), boxes).tolist() == [False, False]


def test_boxes_hold_the_faces_of_their_body():
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 5, 5], [6, 5, 5], [5, 7, 5.0]])
    boxes = body_boxes(points, np.array([[3, 4, 5], [0, 1, 2]]), np.array([1, 0]), 2)
    assert boxes.tolist() == [[[0, 0, 0], [1, 1, 0]], [[5, 5, 5], [6, 7, 5]]]
