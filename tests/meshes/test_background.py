from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from backend.meshes.background import fit_border, fit_corners, grabcut_mask, plain_mask, to_lab
from backend.meshes.masks import iou
from tests.pipelines.drawings import DRAWINGS


def _lab(name: str):
    image, outline = DRAWINGS[name]()
    rgb = np.ascontiguousarray(np.asarray(image)[..., :3])
    return rgb, to_lab(rgb), outline


@pytest.mark.parametrize("name", ["on_white", "gradient_and_shadow", "grey_and_noisy"])
def test_a_plain_background_is_recognised(name):
    assert fit_border(_lab(name)[1]).plain_share > 0.9


@pytest.mark.parametrize("name", ["cluttered", "floor_and_wall"])
def test_a_busy_background_is_not_plain(name):
    _, lab, _ = _lab(name)
    assert fit_border(lab).plain_share < 0.9
    assert fit_corners(lab) is None


def test_the_shadow_is_not_part_of_the_object():
    _, lab, outline = _lab("gradient_and_shadow")
    mask = plain_mask(lab, fit_border(lab))
    shadow = np.zeros_like(outline)
    shadow[226:246, 60:210] = True
    assert mask[shadow & ~outline].mean() < 0.15
    assert iou(mask, outline) > 0.95


def test_holes_through_which_the_background_shows_stay_open():
    image = Image.new("RGB", (256, 256), (240, 240, 240))
    ImageDraw.Draw(image).ellipse((40, 40, 216, 216), outline=(200, 90, 20), width=36)
    lab = to_lab(np.asarray(image))
    mask = plain_mask(lab, fit_border(lab))
    assert mask[128, 60]
    assert not mask[128, 128]


@pytest.mark.parametrize(("pupil_px", "is_eye"), [(12, True), (2, False), (70, False)])
def test_the_white_of_an_eye_on_a_white_ground_is_no_hole(pupil_px, is_eye):
    """What floats in a hole is a pupil; specks are none, nor is an object within a ring."""
    image = Image.new("RGB", (256, 256), (255, 255, 255))
    draw = ImageDraw.Draw(image)
    draw.ellipse((20, 20, 236, 236), (60, 110, 180))
    white = 90 if pupil_px > 50 else 24
    for radius, colour in ((white, (255, 255, 255)), (pupil_px, (10, 10, 10))):
        draw.ellipse((128 - radius, 128 - radius, 128 + radius, 128 + radius), colour)
    lab = to_lab(np.asarray(image))
    mask = plain_mask(lab, fit_border(lab))
    assert mask[128, 128 - (white + pupil_px) // 2] == is_eye
    assert mask[128, 128] == (pupil_px != 2)
    assert mask[128, 30]


def test_a_part_that_only_resembles_the_background_is_kept():
    image = Image.new("RGB", (256, 256), (255, 255, 255))
    ImageDraw.Draw(image).ellipse((40, 40, 216, 216), (250, 250, 250), (60, 60, 60), width=4)
    lab = to_lab(np.asarray(image))
    assert plain_mask(lab, fit_border(lab))[128, 128]


def test_corners_tell_the_background_when_the_object_is_cut_off():
    _, lab, outline = _lab("touching_all_sides")
    assert fit_border(lab).plain_share < 0.9
    corners = fit_corners(lab)
    assert corners is not None
    assert iou(plain_mask(lab, corners), outline) > 0.97


def test_grabcut_finds_a_figure_in_clutter_and_is_repeatable():
    rgb, lab, outline = _lab("cluttered")
    first, second = (grabcut_mask(rgb, lab, fit_border(lab).ring) for _ in range(2))
    assert iou(first, outline) > 0.8
    assert (first == second).all()
