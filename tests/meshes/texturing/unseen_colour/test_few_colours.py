from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.texturing.unseen_colour.few_colours import lab, sorted_colours


def test_colours_that_differ_are_told_apart_and_shades_are_not():
    given = np.array([[200, 40, 40], [40, 60, 200], [240, 240, 240], [20, 20, 20]], np.float64)
    many = np.repeat(given, 50, axis=0) + np.random.default_rng(0).uniform(-3, 3, (200, 3))
    numbers = sorted_colours(many).reshape(4, 50)
    assert (numbers == numbers[:, :1]).all()
    assert len(np.unique(numbers)) == 4
    assert len(np.unique(sorted_colours(many[:50]))) == 1


@pytest.mark.parametrize("count", [1, 2, 50_000])
def test_any_number_of_colours_is_sorted_into_seven_at_most(count):
    colours = np.random.default_rng(0).integers(0, 256, (count, 3), dtype=np.uint8)
    numbers = sorted_colours(colours)
    assert numbers.shape == (count,)
    assert len(np.unique(numbers)) == min(count, 7)


def test_white_has_the_lightness_100():
    assert lab(np.array([[255, 255, 255], [0, 0, 0]])) == pytest.approx(
        np.array([[100, 0, 0], [0, 0, 0]]), abs=0.1
    )
