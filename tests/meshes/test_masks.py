from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.masks import (
    agreement,
    bounds,
    clean,
    fill_pin_holes,
    iou,
    keep_large_islands,
    thicken_thin,
)
from tests.meshes.solids import disc_mask


def test_small_islands_are_dropped_and_large_ones_kept():
    mask = np.zeros((60, 60), dtype=bool)
    mask[5:25, 5:25] = True
    mask[40:45, 40:45] = True
    mask[50, 5] = True
    kept = keep_large_islands(mask, 0.05)
    assert kept[10, 10]
    assert kept[42, 42]
    assert not kept[50, 5]


def test_an_empty_mask_stays_empty():
    empty = np.zeros((10, 10), dtype=bool)
    assert not keep_large_islands(empty, 0.5).any()
    assert not clean(empty).any()


def test_pin_holes_are_filled_but_real_holes_stay():
    mask = np.ones((200, 200), dtype=bool)
    mask[50:80, 50:80] = False
    mask[120, 120] = False
    filled = fill_pin_holes(mask)
    assert filled[120, 120]
    assert not filled[60, 60]


def test_cleaning_does_not_eat_an_object_at_the_edge():
    mask = np.zeros((64, 64), dtype=bool)
    mask[:, :20] = True
    assert clean(mask)[:, :20].all()


def test_a_sponge_is_closed_for_good():
    rng = np.random.default_rng(1)
    sponge = rng.random((200, 200)) < 0.4
    assert clean(sponge).mean() > 0.9


def test_strands_are_widened_and_bodies_left_alone():
    mask = disc_mask(128, 30)
    mask[64, :] = True
    wide = thicken_thin(mask, 6.0)
    assert np.count_nonzero(wide[:, 5]) >= 5
    body = disc_mask(128, 30)
    assert (thicken_thin(body, 6.0) == body).all()


def test_bounds_have_exclusive_ends():
    mask = np.zeros((9, 9), dtype=bool)
    mask[2:5, 3:8] = True
    assert bounds(mask) == (2, 5, 3, 8)


def test_iou_counts_the_overlap():
    one, other = np.zeros((4, 4), dtype=bool), np.zeros((4, 4), dtype=bool)
    one[:2], other[1:3] = True, True
    assert iou(one, other) == pytest.approx(1 / 3)


def test_agreement_forgives_a_widened_line_but_not_another_place():
    line, wide, elsewhere = (np.zeros((100, 100), dtype=bool) for _ in range(3))
    line[50], wide[47:54], elsewhere[10] = True, True, True
    assert iou(line, wide) < 0.2
    assert agreement(line, wide, 4) == 1.0
    assert agreement(line, elsewhere, 4) == 0.0
