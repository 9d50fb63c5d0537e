from __future__ import annotations

import numpy as np
import pytest

from backend.catalog import ShapeMode
from backend.meshes.height_field import inflated, lathed, poisson_squared, slab
from backend.meshes.outline_kind import outline_kind
from tests.meshes.shapes import disc_mask


def test_poisson_on_a_disc_is_the_known_parabola():
    mask = disc_mask(129, 50)
    # Laplace u = -4 on a disc of radius R has the solution u = R^2 - r^2
    squared = poisson_squared(mask)
    y, x = np.mgrid[0:129, 0:129] - 64.0
    inner = mask & (x**2 + y**2 < 40**2)
    truth = 50**2 - (x**2 + y**2)
    assert np.abs(squared[inner] - truth[inner]).max() < 0.05 * 50**2


def test_inflated_disc_is_round_and_zero_outside():
    mask = disc_mask(256, 80)
    height = inflated(mask)
    assert height[~mask].max() == 0
    assert height[128, 128] == pytest.approx(0.85 * 80, rel=0.05)
    assert (height[mask] > 0).all()


def test_lathed_disc_is_a_sphere():
    height = lathed(disc_mask(256, 80))
    assert height[128, 128] == pytest.approx(80, rel=0.02)
    assert height[128, 128 + 40] == pytest.approx(np.sqrt(80**2 - 40**2), rel=0.03)


def test_slab_is_flat():
    mask = np.zeros((100, 100), dtype=bool)
    mask[20:80, 30:70] = True
    height = slab(mask, 40 / 60)
    assert np.unique(height[mask]).size == 1


def test_outline_kinds():
    box = np.zeros((200, 200), dtype=bool)
    box[40:160, 60:150] = True
    assert outline_kind(box) is ShapeMode.SLAB
    vase = np.zeros((200, 200), dtype=bool)
    for row in range(20, 180):
        half = int(30 + 18 * np.sin(row / 18))
        vase[row, 100 - half : 100 + half] = True
    assert outline_kind(vase) is ShapeMode.LATHE
    hand = disc_mask(200, 40)
    for at in (60, 90, 120):
        hand[20:100, at : at + 12] = True
    assert outline_kind(hand) is ShapeMode.INFLATE
