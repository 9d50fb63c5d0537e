from __future__ import annotations

import math

import numpy as np
import pytest

from backend.engines.part_space import (
    HALF_SIDE,
    LEAST_MARGIN_CELLS,
    MARGIN_SHARE,
    SIDES,
    Extent,
    Side,
    padded_extent,
    part_space,
)

SPACE = np.array([[-0.2, -0.1, 0.0], [0.3, 0.1, 0.05]])


@pytest.mark.parametrize("cells", [64, 192, 512])
def test_a_margin_lies_around_the_space_on_every_side(cells):
    extent, margin = padded_extent(SPACE, cells)
    cell = 2 * HALF_SIDE / cells
    assert margin == max(LEAST_MARGIN_CELLS, math.ceil(MARGIN_SHARE * 0.5 / cell))
    low, high = np.array(extent.box.lower), np.array(extent.box.upper)
    for off in (SPACE[0] - low, high - SPACE[1]):
        assert (off >= margin * cell - 1e-9).all()
        assert (off <= (margin + 1) * cell + 1e-9).all()


def test_cells_are_those_of_the_whole_cube():
    extent, _ = padded_extent(SPACE, 100)
    cell = 2 * HALF_SIDE / 100
    steps = (np.array([extent.box.lower, extent.box.upper]) + HALF_SIDE) / cell
    np.testing.assert_allclose(steps, steps.round(), atol=1e-9)
    sides = np.array(extent.box.upper) - np.array(extent.box.lower)
    np.testing.assert_allclose(sides / extent.shape, cell)


@pytest.mark.parametrize(
    "space", [[[-5] * 3, [5] * 3], [[1.01] * 3, [1.01] * 3], [[3] * 3, [4] * 3], [[-4] * 3] * 2]
)
def test_nothing_is_asked_beyond_the_cube(space):
    extent, _ = padded_extent(np.array(space, float), 64)
    assert min(extent.lower) >= 0
    assert max(extent.upper) <= 64
    assert min(extent.shape) >= 1


@pytest.mark.parametrize("space", [[[0, 0, 0], [0, -1, 0]], [[0, 0, 0], [np.nan] * 3]])
def test_what_is_no_space_is_refused(space):
    with pytest.raises(ValueError, match="space"):
        padded_extent(np.array(space, float), 64)


def test_the_surface_that_reaches_out_of_a_box_belongs_to_the_space():
    surface = np.array([[0.5, 0, 0.01, 0, 0, 1, 0]], dtype=np.float32)
    space = part_space(SPACE, surface)
    np.testing.assert_allclose(space, [[-0.2, -0.1, 0.0], [0.5, 0.1, 0.05]])
    np.testing.assert_allclose(part_space(SPACE, surface[:0]), SPACE)


def test_what_lies_behind_a_side_joins_on():
    extent = Extent((10, 20, 30), (40, 50, 60), 64)
    for side in SIDES:
        slab = extent.beyond(side, 3)
        assert slab.shape[side.axis] == 3
        joined = extent.joined(slab)
        assert joined.shape[side.axis] == 33
        assert math.prod(joined.shape) == math.prod(extent.shape) + math.prod(slab.shape)


def test_growing_ends_with_the_cube():
    extent = Extent((0, 2, 5), (64, 62, 60), 64)
    assert [extent.can_grow(Side(axis, False)) for axis in range(3)] == [False, True, True]
    assert [extent.can_grow(Side(axis, True)) for axis in range(3)] == [False, True, True]
    assert extent.beyond(Side(1, False), 9).lower == (0, 0, 5)
    assert extent.beyond(Side(2, True), 9).upper == (64, 62, 64)
