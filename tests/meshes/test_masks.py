from __future__ import annotations

import numpy as np

from backend.meshes.masks import bounds, clean, iou, keep_large_islands, thicken_thin
from tests.meshes.shapes import disc_mask


def test_crumbs_go_and_large_islands_stay():
    mask = disc_mask()
    mask[5, 5] = True
    mask[100:120, 100:120] = True
    kept = keep_large_islands(mask, 0.01)
    assert not kept[5, 5]
    assert kept[110, 110]


def test_pin_holes_are_filled_and_real_holes_kept():
    mask = disc_mask(256, 100)
    mask[128, 128] = False
    mask[100:112, 100:112] = False
    cleaned = clean(mask)
    assert cleaned[128, 128]
    assert not cleaned[106, 106]


def test_thin_strand_survives_a_coarse_grid_and_bodies_stay_as_they_are():
    mask = disc_mask(200, 50)
    mask[99:101, :] = True
    wider = thicken_thin(mask, 6)
    column = wider[:, 20]
    assert np.count_nonzero(column) >= 4
    assert iou(thicken_thin(disc_mask(200, 50), 6), disc_mask(200, 50)) > 0.99


def test_bounds_and_overlap():
    mask = np.zeros((10, 10), dtype=bool)
    mask[2:5, 3:9] = True
    assert bounds(mask) == (2, 5, 3, 9)
    assert iou(mask, mask) == 1.0
    assert iou(mask, ~mask) == 0.0
    assert iou(mask & False, mask & False) == 1.0
