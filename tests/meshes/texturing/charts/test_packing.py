"""Charts lie side by side, turned but not mirrored, and are all scaled alike."""

from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.texturing.charts import packing
from backend.meshes.texturing.charts.chart_turning import chart_sizes, laid_down, turned_upright
from backend.meshes.texturing.charts.chart_vertices import ChartVertices
from backend.meshes.texturing.charts.packing import packed
from backend.meshes.texturing.charts.shelf_packing import shelf_packed

GAP = 2
SIDE = 256


def triangles(count: int, seed: int = 1) -> tuple[ChartVertices, np.ndarray]:
    """Charts of one triangle each, in any size and turned anyhow."""
    rng = np.random.default_rng(seed)
    faces = np.arange(3 * count).reshape(-1, 3)
    vertices = ChartVertices.of(faces, np.arange(count))
    sizes = rng.uniform(0.5, 2, count)
    turns = np.exp(2j * np.pi * rng.uniform(size=count))
    corners = np.array([0, 1, 0.3 + 0.8j]) * (sizes * turns)[:, None] + 100 * rng.normal(
        size=(count, 1)
    )
    flat = corners.reshape(-1)
    return vertices, np.stack([flat.real, flat.imag], axis=1)


def nobody(_done: int, _total: int) -> None:
    pass


def areas(places: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (places[faces[:, corner]] for corner in range(3))
    return ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2


@pytest.mark.parametrize("most", [0, 4000], ids=["shelves", "closely"])
def test_all_charts_are_scaled_alike_and_lie_inside(most, monkeypatch):
    monkeypatch.setattr(packing, "MOST_PACKED_CLOSELY", most)
    vertices, places = triangles(60)

    found = packed(vertices, places, SIDE, GAP, nobody)

    ratios = areas(found, vertices.faces) / areas(places, vertices.faces)
    assert np.allclose(ratios, ratios[0], rtol=1e-3)
    assert ratios[0] > 0
    assert found.min() >= 0
    assert found.max() <= 1
    assert areas(found, vertices.faces).sum() > 0.3


def test_vertices_of_faces_without_area_go_with_their_chart():
    faces = np.array([[0, 1, 2], [0, 3, 1], [4, 5, 6]])
    vertices = ChartVertices.of(faces, np.array([0, 0, 1]))
    flat = np.array([[0, 0], [2, 0], [0, 2], [1, 0], [7, 7], [9, 7], [7, 9.0]])

    found = packed(vertices, flat, SIDE, GAP, nobody)

    assert np.allclose(found[3], (found[0] + found[1]) / 2, atol=1e-6)


def test_charts_stand_upright_in_their_smallest_box():
    angle = 0.5
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    vertices = ChartVertices.of(faces, np.zeros(2, dtype=np.int64))
    flat = np.array([[0, 0], [4, 0], [4, 1], [0, 1.0]]) @ turn

    upright = turned_upright(vertices, flat)
    lying = laid_down(vertices, upright)

    assert chart_sizes(vertices, upright)[0] == pytest.approx([1, 4], abs=0.2)
    assert chart_sizes(vertices, lying)[0] == pytest.approx([4, 1], abs=0.2)
    for places in (upright, lying):
        assert places.min() == pytest.approx(0, abs=1e-9)
        assert np.allclose(areas(places, faces), areas(flat, faces))


def test_boxes_on_shelves_do_not_touch():
    sizes = np.random.default_rng(0).lognormal(0, 0.6, (300, 2))

    places, scale = shelf_packed(sizes, SIDE, GAP)

    low, high = places, places + sizes * scale
    apart = np.maximum(low[:, None] - high, low - high[:, None]).max(axis=2)
    assert (apart + 1e9 * np.eye(len(sizes)) >= GAP - 1e-6).all()
    assert low.min() >= 0
    assert high.max() <= SIDE
    assert (sizes * scale).prod(axis=1).sum() > 0.4 * SIDE**2


def test_more_boxes_than_texels_still_fit():
    places, scale = shelf_packed(np.ones((5000, 2)), 32, GAP)

    assert scale > 0
    assert places.min() >= 0
    assert (places + scale).max() <= 32
