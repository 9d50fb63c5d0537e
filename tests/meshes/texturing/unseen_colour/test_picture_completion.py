from __future__ import annotations

import cv2
import numpy as np
import pytest

from backend.meshes.texturing.unseen_colour.picture_completion import completed

SIDE = 96
DARK, LIGHT, RED, BLUE = (20.0, 0.0, 0.0), (80.0, 0.0, 0.0), (50.0, 60.0, 40.0), (40.0, 20.0, -60.0)


def _stripes() -> np.ndarray:
    picture = np.zeros((SIDE, SIDE, 3), dtype=np.float32)
    picture[:] = LIGHT
    picture[:, np.arange(SIDE) % 12 < 6] = DARK
    return picture


def _hole(low: int = 34, high: int = 62) -> np.ndarray:
    hole = np.zeros((SIDE, SIDE), dtype=bool)
    hole[low:high, low:high] = True
    return hole


def _shown(picture: np.ndarray, taken: np.ndarray) -> np.ndarray:
    return picture[taken[..., 0], taken[..., 1]]


def _blurred(picture: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), 8.0)


@pytest.fixture(scope="module")
def mended():
    """Stripes with a hole in which something red is."""
    truth, hole = _stripes(), _hole()
    spoilt = truth.copy()
    spoilt[hole] = RED
    taken = completed(spoilt, ~hole, hole, _blurred(truth))
    return truth, spoilt, hole, taken


def test_stripes_go_on_through_a_hole(mended):
    truth, spoilt, hole, taken = mended
    error = np.abs(_shown(spoilt, taken) - truth)[hole].mean()
    plain = np.abs(_blurred(truth) - truth)[hole].mean()
    assert error < 0.35 * plain


def test_only_the_source_is_taken_from(mended):
    _, _, hole, taken = mended
    assert not hole[taken[hole][:, 0], taken[hole][:, 1]].any()


def test_what_is_no_hole_stays(mended):
    _, _, hole, taken = mended
    own = np.moveaxis(np.indices(hole.shape), 0, -1)
    assert (taken[~hole] == own[~hole]).all()


def test_the_same_picture_is_completed_the_same_way(mended):
    truth, spoilt, hole, taken = mended
    assert (completed(spoilt, ~hole, hole, _blurred(truth)) == taken).all()


@pytest.mark.parametrize("colour", [RED, BLUE])
def test_the_expected_colour_decides_among_what_there_is(colour):
    picture = np.zeros((SIDE, SIDE, 3), dtype=np.float32)
    picture[:, : SIDE // 2], picture[:, SIDE // 2 :] = RED, BLUE
    hole = _hole(20, 40)
    expected = np.broadcast_to(np.array(colour, dtype=np.float32), picture.shape).copy()
    shown = _shown(picture, completed(picture, ~hole, hole, expected))[hole]
    assert np.abs(shown - colour).max(axis=1).mean() < 5


def test_a_source_smaller_than_a_patch_is_used_all_the_same():
    picture = _stripes()
    source = np.zeros((SIDE, SIDE), dtype=bool)
    source[10:13, 10:13] = True
    hole = _hole()
    taken = completed(picture, source, hole, _blurred(picture))
    assert source[taken[hole][:, 0], taken[hole][:, 1]].all()


def test_without_a_source_nothing_is_taken():
    picture, hole = _stripes(), _hole()
    taken = completed(picture, np.zeros_like(hole), hole, picture)
    assert (taken == np.moveaxis(np.indices(hole.shape), 0, -1)).all()


def test_a_hole_at_the_edge_of_a_narrow_picture_is_filled():
    picture = _stripes()[:, :10]
    hole = np.zeros((SIDE, 10), dtype=bool)
    hole[:20] = True
    taken = completed(picture, ~hole, hole, _blurred(picture))
    assert (taken[hole][:, 0] >= 20).all()
