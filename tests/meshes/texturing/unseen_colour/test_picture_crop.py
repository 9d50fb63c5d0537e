from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.texturing.unseen_colour.picture_crop import PictureCrop


@pytest.fixture
def core():
    mask = np.zeros((300, 400), dtype=bool)
    mask[40:240, 60:160] = True
    return mask


def test_a_crop_holds_the_object_at_the_size_asked_for(core):
    crop = PictureCrop.of(core, 50)
    assert (crop.top, crop.left, crop.size, crop.shape) == (40, 60, (200, 100), (50, 25))
    assert crop.small(core).min() == 1
    assert PictureCrop.of(core, 1000).shape == (200, 100)  # nothing is enlarged


def test_places_in_a_crop_and_pixels_of_the_picture_are_each_others_inverse(core):
    crop = PictureCrop.of(core, 50)
    pixels = crop.pixels()
    assert pixels[0] == pytest.approx([61.5, 41.5])
    columns, rows = np.meshgrid(np.arange(25), np.arange(50))
    expected = np.stack([columns.ravel(), rows.ravel()], axis=1)
    assert crop.places(pixels) == pytest.approx(expected)


def test_a_thin_object_keeps_some_pixels(core):
    core[:] = False
    core[10:290, 200:202] = True
    assert min(PictureCrop.of(core, 64).shape) == 8


def test_what_is_put_back_lies_where_it_was_cut_out_and_goes_on_beside_the_object(core):
    crop = PictureCrop.of(core, 50)
    small = np.zeros(crop.shape, dtype=bool)
    small[:10], small[20:30, 12:] = True, True
    whole = crop.in_picture(small, core.shape)
    assert whole.shape == core.shape
    assert (whole[:75] == 1).all()  # also above the object and to both its sides
    assert whole[140, 159] == whole[140, 399] == 1
    assert whole[140, 60] == whole[140, 0] == whole[239, 159] == whole[299, 399] == 0
