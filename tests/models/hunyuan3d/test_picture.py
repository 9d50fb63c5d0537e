from __future__ import annotations

import numpy as np
import pytest

from backend.errors import NoForeground
from backend.models.hunyuan3d.picture import View, prepared_picture, prepared_views, recentred
from tests.models.golden_files import tensors


@pytest.fixture
def golden():
    return {name: tensor.numpy() for name, tensor in tensors("preprocess").items()}


def _block(height: int, width: int, rows: slice, columns: slice) -> np.ndarray:
    """A red block on nothing."""
    rgba = np.zeros((height, width, 4), np.uint8)
    rgba[rows, columns] = (200, 30, 40, 255)
    return rgba


def test_recentring_is_that_of_the_original(golden):
    rgb, mask = recentred(golden["in.rgba"])
    np.testing.assert_array_equal(rgb, golden["mid.recentered_rgb"])
    np.testing.assert_array_equal(mask, golden["mid.recentered_mask"][..., 0])


def test_pixels_and_mask_are_those_of_the_original(golden):
    picture = prepared_picture(golden["in.rgba"], size_px=64)
    np.testing.assert_array_equal(picture.pixels, golden["out.image"][0])
    np.testing.assert_array_equal(picture.mask, golden["out.mask"][0])
    assert picture.pixels.dtype == picture.mask.dtype == np.float32


def test_without_alpha_the_whole_picture_is_the_object(golden):
    picture = prepared_picture(golden["in.rgba"][..., :3].copy(), size_px=64)
    np.testing.assert_array_equal(picture.pixels, golden["out.image_from_rgb"][0])


def test_an_object_fills_all_but_the_border_of_a_white_square():
    rgb, mask = recentred(_block(400, 800, slice(10, 111), slice(5, 106)))
    rows, columns = np.nonzero(mask)
    assert rgb.shape == (800, 800, 3)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (680, 680)
    assert (rows.min(), columns.min()) == (60, 60)
    assert (rgb[mask == 255] == (200, 30, 40)).all()
    assert (rgb[mask == 0] == 255).all()


def test_white_shows_through_where_the_object_does_not_cover_all():
    rgba = _block(400, 800, slice(10, 111), slice(5, 106))
    rgba[rgba[..., 3] > 0, 3] = 51  # a fifth
    rgb, mask = recentred(rgba)
    assert (rgb[mask > 0] == (244, 210, 212)).all()
    assert set(np.unique(mask)) == {0, 51}


def test_a_long_object_keeps_its_proportions():
    _, mask = recentred(_block(200, 200, slice(20, 121), slice(90, 111)))
    rows, columns = np.nonzero(mask)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (170, 34)


def test_size_is_512_unless_asked_otherwise():
    assert prepared_picture(_block(40, 40, slice(5, 30), slice(5, 30))).pixels.shape == (
        3,
        512,
        512,
    )


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        (slice(0, 0), slice(0, 0)),  # nothing
        (slice(5, 6), slice(0, 40)),  # a row of pixels, which the box leaves out
        (slice(0, 40), slice(7, 8)),
        (slice(0, 2), slice(0, 400)),  # one row remains, of which less than a pixel would
    ],
)
def test_nothing_to_see_is_a_typed_error(rows, columns):
    with pytest.raises(NoForeground):
        prepared_picture(_block(40, 400, rows, columns))


def test_what_is_no_picture_is_refused():
    with pytest.raises(ValueError, match="float64"):
        prepared_picture(np.zeros((8, 8, 4)))


def test_views_come_in_the_order_of_the_networks_whatever_order_they_are_given_in():
    front = _block(40, 40, slice(5, 30), slice(5, 30))
    back = _block(40, 40, slice(5, 30), slice(15, 20))
    pixels, places = prepared_views({View.BACK: back, View.FRONT: front}, size_px=32)
    assert places == (0, 2)
    assert pixels.shape == (2, 3, 32, 32)
    np.testing.assert_array_equal(pixels[0], prepared_picture(front, size_px=32).pixels)
    np.testing.assert_array_equal(pixels[1], prepared_picture(back, size_px=32).pixels)


def test_the_view_that_shows_nothing_is_named():
    with pytest.raises(NoForeground, match=r"Left view: .*transparent"):
        prepared_views({View.LEFT: np.zeros((40, 40, 4), np.uint8)})


def test_no_view_at_all_is_refused():
    with pytest.raises(ValueError, match="no view"):
        prepared_views({})
