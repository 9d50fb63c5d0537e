from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.height_field import (
    inflated,
    lathed,
    medial_balls_squared,
    poisson_squared,
    slab,
)
from tests.meshes.solids import disc_mask


def test_the_poisson_height_of_a_long_bar_is_a_cylinder():
    """Laplace u = -4 across an infinite bar of half width a gives u = 2 (a^2 - x^2)."""
    mask = np.zeros((41, 400), dtype=bool)
    mask[10:31] = True
    middle = poisson_squared(mask)[:, 200]
    assert middle[20] == pytest.approx(2 * 11**2, rel=0.02)
    assert middle[5] == 0


def test_the_poisson_height_of_a_disc_is_a_ball():
    """On a disc of radius r, u = r^2 - d^2: the ball itself."""
    squared = poisson_squared(disc_mask(96, 30))
    assert np.sqrt(squared.max()) == pytest.approx(30.5, rel=0.03)


def test_the_ball_of_a_disc_has_its_radius():
    height = np.sqrt(medial_balls_squared(disc_mask(96, 30)).max())
    assert height == pytest.approx(30, rel=0.06)


def test_the_height_is_zero_outside_and_positive_inside():
    mask = disc_mask(300, 100)
    height = inflated(mask)
    assert (height[~mask] == 0).all()
    assert (height[mask] > 0).all()


def test_the_height_does_not_depend_on_the_resolution():
    low, high = inflated(disc_mask(100, 40)).max(), inflated(disc_mask(400, 160)).max()
    assert high == pytest.approx(4 * low, rel=0.05)


def test_a_row_becomes_a_circle():
    height = lathed(disc_mask(96, 30))
    assert height.max() == pytest.approx(30, abs=1.0)
    assert height[48, 48] > height[48, 60] > height[48, 75]


def test_the_circles_of_neighbouring_rows_follow_the_outline_and_not_its_pixels():
    """Radii in half pixels made rings around everything turned."""
    rows, columns = np.mgrid[:320, :240]
    egg = ((rows - 160) / 150) ** 2 + ((columns - 120.2) / 100) ** 2 < 1
    along = lathed(egg)[30:290, 120]
    truth = 100 * np.sqrt(1 - ((np.arange(30, 290) - 160) / 150) ** 2)
    assert np.abs(np.diff(along - truth)).max() < 0.08
    assert np.abs(along - truth).max() < 0.5


def test_a_slab_is_flat_and_thinner_when_it_is_narrow():
    mask = disc_mask()
    square, narrow = slab(mask, 1.0), slab(mask, 0.1)
    assert np.ptp(square[mask]) == 0
    assert narrow.max() < square.max()
