from __future__ import annotations

import numpy as np

from backend.meshes.texturing.unseen_colour.outward_colours import push_outwards, sure_inside
from tests.meshes.solids import disc_mask

SIDE = 96
RED, GREEN = (255, 0, 0), (0, 255, 0)


def _red_disc_on_green():
    mask = disc_mask(SIDE, 30)
    rgb = np.full((SIDE, SIDE, 3), GREEN, dtype=np.uint8)
    rgb[mask] = RED
    return rgb, mask


def test_nothing_of_the_background_is_left():
    rgb, mask = _red_disc_on_green()
    pushed = push_outwards(rgb, sure_inside(mask))
    assert (pushed == RED).all()


def test_each_place_outside_gets_the_colour_nearest_to_it():
    rgb, mask = _red_disc_on_green()
    rgb[: SIDE // 2] //= 2
    rgb[~mask] = GREEN
    pushed = push_outwards(rgb, mask)
    assert (pushed[: SIDE // 2] == (127, 0, 0)).all()
    assert (pushed[SIDE // 2 :] == RED).all()
    assert (pushed[mask] == rgb[mask]).all()


def test_the_rim_is_as_wide_as_asked_for():
    rgb, mask = _red_disc_on_green()
    rgb[mask & ~disc_mask(SIDE, 26)] = (90, 90, 0)  # what an enlarged picture mixes
    assert (push_outwards(rgb, sure_inside(mask, edge_px=5)) == RED).all()
    assert not (push_outwards(rgb, sure_inside(mask)) == RED).all()


def test_strands_without_an_inside_keep_their_colours():
    mask = disc_mask(SIDE, 20)
    mask[47:49, 66:94] = True
    assert sure_inside(mask)[47:49, 75:90].all()


def test_an_object_cut_off_by_the_picture_has_no_rim_there():
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[30:70, :] = True
    core = sure_inside(mask)
    assert core[50, 0]
    assert not core[30, 50]


def test_pictures_full_of_object_or_without_any_stay_as_they_are():
    rgb, mask = _red_disc_on_green()
    assert sure_inside(np.ones_like(mask)).all()
    assert (push_outwards(rgb, np.zeros_like(mask)) == rgb).all()
