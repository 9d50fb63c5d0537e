"""What lies between charts looks like the charts."""

from __future__ import annotations

import numpy as np

from backend.meshes.texturing import gutters
from backend.meshes.texturing.gutters import with_gutters
from backend.meshes.texturing.texel_map import TexelMap


def texel_map(size, covered):
    rows, columns = (line.astype(np.int32) for line in np.nonzero(covered))
    nowhere = np.zeros((len(rows), 3), dtype=np.float32)
    faces = np.zeros(len(rows), dtype=np.int32)
    return TexelMap(size, rows, columns, nowhere, nowhere, faces, nowhere)


def test_charts_keep_their_colours_and_carry_them_on():
    covered = np.zeros((96, 96), dtype=bool)
    covered[10:30, 10:30] = covered[60:80, 60:90] = True
    texels = texel_map(96, covered)
    colours = np.where((texels.rows < 40)[:, None], [1, 0, 0, 0.2, 1], [0, 0, 1, 0.6, 0])
    picture = with_gutters(texels, colours.astype(np.float32), padding_px=6)
    assert picture.dtype == np.uint8
    assert (picture[5:35, 5:35] == [255, 0, 0, 51, 255]).all(axis=2).mean() > 0.98
    assert (picture[60:80, 54:90] == [0, 0, 255, 153, 0]).all()
    between = picture[45, 45].astype(int)
    assert 0 < between[0] < 255
    assert abs(between[0] + between[2] - 255) <= 3


def test_no_hole_is_left_whatever_the_size():
    for size in (1, 7, 33, 64):
        covered = np.zeros((size, size), dtype=bool)
        covered[size // 2, size // 3] = True
        one = np.full((1, 3), 0.4, dtype=np.float32)
        picture = with_gutters(texel_map(size, covered), one).astype(int)
        assert np.abs(picture - 102).max() <= 6


def test_without_texels_all_is_black():
    nothing = texel_map(16, np.zeros((16, 16), dtype=bool))
    assert not with_gutters(nothing, np.zeros((0, 3), dtype=np.float32)).any()


def test_bands_make_no_difference(monkeypatch):
    rng = np.random.default_rng(5)
    covered = rng.random((64, 64)) < 0.02
    texels = texel_map(64, covered)
    colours = rng.random((len(texels), 3), dtype=np.float32)
    whole = with_gutters(texels, colours, padding_px=5)
    monkeypatch.setattr(gutters, "PIXELS_OF_BAND", 64 * 7)
    assert np.array_equal(with_gutters(texels, colours, padding_px=5), whole)
