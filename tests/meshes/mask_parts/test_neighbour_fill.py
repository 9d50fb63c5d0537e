from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.mask_parts.clean_surface import CleanSurface
from backend.meshes.mask_parts.neighbour_fill import filled_from_neighbours
from tests.meshes.mask_parts.plain_rules import fill
from tests.meshes.solids import sphere

CHAIN = np.stack([np.arange(60) - 1, np.append(np.arange(1, 60), -1), np.full(60, -1)], axis=1)


@pytest.mark.parametrize("is_shuffled", [False, True])
@pytest.mark.parametrize("labelled_share", [0.3, 0.02, 0.002])
def test_labels_are_those_of_going_face_by_face(labelled_share, is_shuffled):
    rng = np.random.default_rng(int(1000 * labelled_share))
    ball = sphere(subdivisions=4)
    faces = rng.permutation(ball.faces) if is_shuffled else ball.faces
    table = CleanSurface.of(ball.vertices, faces).table
    labels = np.where(rng.random(len(faces)) < labelled_share, rng.integers(0, 4, len(faces)), -1)
    assert np.array_equal(filled_from_neighbours(table, labels), fill(table, labels))


def test_a_pass_goes_far_upwards_and_one_face_downwards():
    labels = np.full(60, -1)
    labels[55] = 7
    found = filled_from_neighbours(CHAIN, labels)
    assert (found[5:] == 7).all()
    assert (found[:5] == -1).all()  # fifty passes, a face each


def test_of_labels_that_are_as_frequent_the_smallest_is_taken():
    table = np.array([[1, 2, 3], [0, -1, -1], [0, -1, -1], [0, -1, -1]])
    for around, expected in (([5, 2, 9], 2), ([5, 9, 9], 9), ([5, -2, 3], 3), ([-1, -1, 4], 4)):
        assert filled_from_neighbours(table, np.array([-1, *around]))[0] == expected


def test_what_no_label_reaches_stays_as_it_was():
    table = np.full((3, 3), -1)
    assert filled_from_neighbours(table, np.array([-2, -1, 4])).tolist() == [-2, -1, 4]
