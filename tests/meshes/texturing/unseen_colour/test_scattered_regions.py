from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.texturing.unseen_colour.scattered_regions import find_scattered

SIDE = 100
GROUND, SPOT = 1, 2
CORNERS = [(20, 20), (20, 70), (70, 20), (70, 70)]


def _labels(middles, half_px=5):
    labels = np.full((SIDE, SIDE), GROUND, dtype=np.int32)
    for row, column in middles:
        labels[row - half_px : row + half_px, column - half_px : column + half_px] = SPOT
    return labels


def test_spots_over_all_of_an_object_are_scattered_and_the_ground_is_not():
    labels = _labels(CORNERS)
    assert np.array_equal(find_scattered(labels), labels == SPOT)


@pytest.mark.parametrize(
    "middles",
    [
        CORNERS[:3],
        [(20, 20), (20, 40), (20, 60), (20, 80)],
        [(15, 50), (35, 50), (55, 50), (75, 50)],
        [(40, 40), (40, 56), (56, 40), (56, 56)],
    ],
    ids=["three", "windows in a row", "buttons", "all in one place"],
)
def test_few_or_close_together_or_in_a_row_are_not(middles):
    assert not find_scattered(_labels(middles)).any()


def test_one_much_larger_than_the_others_is_not_one_of_them():
    labels = _labels(CORNERS)
    labels[40:64, 40:64] = SPOT
    scattered = find_scattered(labels)
    assert scattered[20, 20]
    assert not scattered[50, 50]


def test_those_that_lie_in_another_colour_are_not_of_them():
    """The eyes of a doll and the dark spots of its clothes."""
    labels = _labels([(20, 30), (20, 70), (70, 20), (70, 80)])
    labels[:50][labels[:50] == GROUND] = 3
    assert not find_scattered(labels).any()
    labels = _labels([*CORNERS, (85, 50)])
    labels[76:96, 41:60][labels[76:96, 41:60] == GROUND] = 3
    scattered = find_scattered(labels)
    assert scattered[20, 20]
    assert not scattered[85, 50]


def test_the_outside_is_nothing_that_spots_lie_in():
    labels = _labels([(20, 20), (75, 75), (30, 60), (60, 30)])
    labels[:15], labels[:, :15], labels[80:], labels[:, 80:] = 0, 0, 0, 0
    assert np.array_equal(find_scattered(labels), labels == SPOT)


def test_specks_are_too_small_to_tell():
    assert not find_scattered(_labels(CORNERS, half_px=1)).any()


def test_nothing_outside_is_found():
    labels = np.where(_labels(CORNERS) == SPOT, 0, GROUND).astype(np.int32)
    assert not find_scattered(labels).any()
    assert not find_scattered(np.zeros((5, 5), dtype=np.int32)).any()
