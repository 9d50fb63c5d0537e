from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.atlas import push_outwards
from backend.meshes.back_side import guess_back, reaching_the_rim, rim
from tests.meshes.solids import disc_mask

SIDE = 128
RED, DARK, BLUE = (200, 60, 60), (10, 10, 10), (40, 60, 210)


def _striped_with_an_eye():
    mask = disc_mask(SIDE, 50)
    rgb = np.full((SIDE, SIDE, 3), RED, dtype=np.uint8)
    rgb[90:105] = BLUE
    rgb[disc_mask(SIDE, 8)] = DARK
    return push_outwards(rgb, mask), mask


@pytest.mark.parametrize("plain", [False, True])
def test_an_eye_in_the_middle_of_the_front_does_not_show_on_the_back(plain):
    front, mask = _striped_with_an_eye()
    back = guess_back(front, mask, plain=plain)
    assert back[64, 64, 0] > 130


def test_a_belt_goes_around():
    front, mask = _striped_with_an_eye()
    back = guess_back(front, mask).astype(int)
    assert back[97, 64] == pytest.approx(BLUE, abs=25)
    assert back[40, 64] == pytest.approx(RED, abs=25)


def test_a_plain_back_keeps_no_sharp_detail():
    front, mask = _striped_with_an_eye()
    plain, auto = (guess_back(front, mask, plain=p).astype(float) for p in (True, False))
    core = (slice(30, 98), slice(40, 88))
    steps = [np.abs(np.diff(image[core], axis=0)).max() for image in (plain, auto)]
    assert steps[0] < 0.5 * steps[1]


def test_front_and_back_agree_along_the_outline():
    front, mask = _striped_with_an_eye()
    back = guess_back(front, mask).astype(int)
    edge = rim(mask, 0.01)
    assert np.abs(back[edge] - front[edge]).mean() < 12


def test_when_hardly_anything_reaches_the_outline_the_rim_is_used():
    mask = disc_mask(SIDE, 50)
    rgb = np.full((SIDE, SIDE, 3), 240, dtype=np.uint8)
    rgb[disc_mask(SIDE, 46)] = DARK
    kept = reaching_the_rim(rgb, mask)
    assert not kept[64, 64]
    assert kept[mask].mean() < 0.6


def test_the_smallest_mask_works():
    mask = np.zeros((8, 8), dtype=bool)
    mask[4, 4] = True
    assert guess_back(np.full((8, 8, 3), 9, dtype=np.uint8), mask).shape == (8, 8, 3)
