"""A mask that is a little too wide does not colour the object like its background."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from backend.meshes.texturing.unseen_colour.outward_colours import sure_inside
from backend.meshes.texturing.unseen_colour.rim_background import without_background

BACKGROUND, BODY = (255, 0, 255), (90, 140, 60)
SIDE, RADIUS = 200, 60


def disc(radius):
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.hypot(x - 100, y - 100) < radius


def picture(inner=BODY, background=BACKGROUND):
    """A disc with soft edges on a background."""
    cover = cv2.GaussianBlur(disc(RADIUS).astype(np.float32), (0, 0), 0.7)[..., None]
    rgb = cover * np.float32(inner) + (1 - cover) * np.float32(background)
    return np.round(rgb).astype(np.uint8)


@pytest.mark.parametrize("wider_px", [1, 2, 3])
def test_background_inside_of_a_wide_mask_is_taken_out(wider_px):
    mask = disc(RADIUS + wider_px)
    rgb = picture()
    core = sure_inside(mask)
    kept = without_background(rgb, mask, core)
    off = np.abs(rgb[kept].astype(int) - BODY).max()
    assert off < 60
    if wider_px > 1:
        assert np.abs(rgb[core].astype(int) - BODY).max() > 120
    assert kept[disc(RADIUS - 4)].all()


def test_a_mask_that_fits_loses_nothing():
    mask = disc(RADIUS)
    core = sure_inside(mask)
    assert np.array_equal(without_background(picture(), mask, core), core)


def test_an_object_like_its_background_stays_whole():
    """A white rim on white: nothing tells it from the background, unless it is very thin."""
    rgb = picture(inner=(250, 250, 250), background=(255, 255, 255))
    rgb[disc(RADIUS - 12)] = BODY
    mask = disc(RADIUS)
    core = sure_inside(mask)
    assert np.array_equal(without_background(rgb, mask, core), core)


def test_spots_like_the_background_that_do_not_reach_it_stay():
    rgb = picture()
    y, x = np.mgrid[:SIDE, :SIDE]
    spot = np.hypot(x - 100 - (RADIUS - 4), y - 100) < 1.2
    rgb[spot] = BACKGROUND
    mask = disc(RADIUS)
    core = sure_inside(mask)
    assert without_background(rgb, mask, core)[spot & core].all()


@pytest.mark.parametrize("mask", [np.ones((40, 40), bool), np.zeros((40, 40), bool)])
def test_pictures_full_of_object_or_without_any_stay_as_they_are(mask):
    rgb = np.zeros((40, 40, 3), np.uint8)
    assert np.array_equal(without_background(rgb, mask, mask), mask)
    thin = np.zeros((40, 40), bool)
    thin[20, 5:35] = True
    assert np.array_equal(without_background(rgb, thin, thin), thin)
