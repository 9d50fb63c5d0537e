from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.texturing.unseen_colour.completed_back import CompletedBack, Crop


@pytest.fixture
def core():
    mask = np.zeros((300, 400), dtype=bool)
    mask[40:240, 60:160] = True
    return mask


def test_a_crop_holds_the_object_at_the_size_asked_for(core):
    crop = Crop.of(core, 50)
    assert (crop.top, crop.left, crop.size, crop.shape) == (40, 60, (200, 100), (50, 25))
    assert crop.small(core).min() == 1
    assert Crop.of(core, 1000).shape == (200, 100)  # nothing is enlarged


def test_places_in_a_crop_and_pixels_of_the_picture_are_each_others_inverse(core):
    crop = Crop.of(core, 50)
    pixels = crop.pixels()
    assert pixels[0] == pytest.approx([61.5, 41.5])
    columns, rows = np.meshgrid(np.arange(25), np.arange(50))
    expected = np.stack([columns.ravel(), rows.ravel()], axis=1)
    assert crop.places(pixels) == pytest.approx(expected)


def test_a_thin_object_keeps_some_pixels(core):
    core[:] = False
    core[10:290, 200:202] = True
    assert min(Crop.of(core, 64).shape) == 8


def test_what_was_put_is_found_where_it_lies_in_the_picture(core):
    crop = Crop.of(core, 50)
    colours = np.zeros((*crop.shape, 3), dtype=np.float32)
    share = np.zeros(crop.shape, dtype=np.float32)
    colours[30, 10], share[30, 10] = (10, 20, 30), 1
    back = CompletedBack(crop, colours, share, np.zeros(0))
    found_share, found = back.at(
        np.array([[60 + 10.5 * 4 - 0.5, 40 + 30.5 * 4 - 0.5], [70.0, 50.0]])
    )
    assert found_share == pytest.approx([1, 0], abs=1e-3)
    assert found[0] == pytest.approx([10, 20, 30], abs=0.05)
