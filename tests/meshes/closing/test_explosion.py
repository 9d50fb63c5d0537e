from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.closing.explosion import explosion_offsets


def test_every_part_moves_by_seven_tenths_of_its_distance_from_the_middle():
    boxes = np.array([[[-1, -1, -1], [1, 1, 1]], [[1, 0, 0], [3, 2, 0]]], dtype=np.float32)
    assert explosion_offsets(boxes) == pytest.approx(np.array([[-0.7, -0.35, 0], [0.7, 0.35, 0]]))


def test_a_single_part_stays():
    assert (explosion_offsets(np.array([[[1, 2, 3], [4, 5, 6]]])) == 0).all()


def test_no_parts_have_no_offsets():
    assert explosion_offsets(np.zeros((0, 2, 3))).shape == (0, 3)


def test_the_spread_can_be_chosen():
    boxes = [[[0, 0, 0], [1, 1, 1]], [[3, 0, 0], [4, 1, 1]]]
    assert explosion_offsets(boxes, spread=2.0)[:, 0].tolist() == [-3, 3]
