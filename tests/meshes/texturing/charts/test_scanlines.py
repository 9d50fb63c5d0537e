"""Triangles cover the texels whose centres they hold, each of them once."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import Delaunay

from backend.meshes.texturing.charts import scanlines
from backend.meshes.texturing.charts.scanlines import affordable_share, covered_texels


def test_a_triangle_covers_the_centres_inside():
    faces, rows, columns = covered_texels(np.array([[[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]]]))

    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == {
        (row, column) for row in range(4) for column in range(4) if row + column < 3
    }
    assert not faces.any()


@pytest.mark.parametrize("turned", [False, True])
def test_a_diagonal_through_centres_parts_a_square(turned):
    square = np.array([[0.0, 0.0], [16.0, 0.0], [16.0, 16.0], [0.0, 16.0]])
    corners = square[[[1, 2, 3], [3, 0, 1]] if turned else [[0, 1, 2], [2, 3, 0]]]

    _, rows, columns = covered_texels(corners)

    assert np.array_equal(np.sort(rows * 16 + columns), np.arange(256))


def test_a_triangulation_covers_each_texel_once():
    places = np.random.default_rng(3).uniform(0, 40, (300, 2))
    places = np.concatenate([places, [[0, 0], [40, 0], [0, 40], [40, 40]]])
    corners = places[Delaunay(places).simplices]

    _, rows, columns = covered_texels(corners)

    assert np.array_equal(np.sort(rows * 40 + columns), np.arange(1600))


def test_portions_change_nothing(monkeypatch):
    corners = np.random.default_rng(5).uniform(-20, 60, (50, 3, 2))
    whole = covered_texels(corners)
    monkeypatch.setattr(scanlines, "ROWS_AT_ONCE", 64)

    for one, other in zip(covered_texels(corners), whole, strict=True):
        assert np.array_equal(one, other)


def test_no_triangles_cover_nothing():
    assert [len(column) for column in covered_texels(np.zeros((0, 3, 2)))] == [0, 0, 0]


def test_slivers_without_number_shrink(monkeypatch):
    corners = np.tile(np.array([[[0.0, 0.0], [0.0, 99.0], [0.1, 99.0]]]), (10, 1, 1))
    assert affordable_share(corners) == 1
    monkeypatch.setattr(scanlines, "MOST_ROWS", 100)
    assert affordable_share(corners) == pytest.approx(0.1)
