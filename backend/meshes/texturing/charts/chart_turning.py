"""Turns charts so that their boxes are small and all lie the same way."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.meshes.closing.half_edges import Points
from backend.meshes.texturing.charts.chart_vertices import ChartVertices

ANGLES = 24


def turned_upright(vertices: ChartVertices, places: Points) -> Points:
    """Turn each chart into its smallest box, the longer side up, and move it to the origin.

    Parameters
    ----------
    vertices : ChartVertices
    places : (v, 2) float64

    Returns
    -------
    (v, 2) float64
        From 0.
    """
    if not len(places):
        return places
    flat = places[:, 0] + 1j * places[:, 1]
    best = np.full(len(vertices.firsts), np.inf)
    turns = np.ones(len(best), dtype=np.complex128)
    for turn in np.exp(0.5j * np.pi * np.arange(ANGLES) / ANGLES):
        width, height = _boxes(vertices, flat * turn)
        better = width * height < best
        best = np.where(better, width * height, best)
        turns = np.where(better, np.where(width > height, 1j * turn, turn), turns)
    turned = flat * turns[_numbers(vertices)]
    upright = np.stack([turned.real, turned.imag], axis=1)
    low = np.minimum.reduceat(upright, vertices.firsts, axis=0)
    return np.asarray(upright - low[_numbers(vertices)])


def laid_down(vertices: ChartVertices, places: Points) -> Points:
    """Turn upright charts by a quarter, so that their longer side lies, (v, 2) float64."""
    if not len(places):
        return places
    widths = np.maximum.reduceat(places[:, 0], vertices.firsts)
    return np.stack([places[:, 1], widths[_numbers(vertices)] - places[:, 0]], axis=1)


def chart_sizes(vertices: ChartVertices, places: Points) -> Points:
    """Width and height of the box of each chart, (k, 2) float64."""
    if not len(places):
        return np.zeros((0, 2))
    low = np.minimum.reduceat(places, vertices.firsts, axis=0)
    high = np.maximum.reduceat(places, vertices.firsts, axis=0)
    return np.asarray(high - low)


def _boxes(vertices: ChartVertices, flat: NDArray[np.complex128]) -> tuple[Points, Points]:
    sizes = chart_sizes(vertices, np.stack([flat.real, flat.imag], axis=1))
    return sizes[:, 0], sizes[:, 1]


def _numbers(vertices: ChartVertices) -> NDArray[np.int64]:
    """Number the chart of each vertex from 0 without gaps."""
    return np.searchsorted(vertices.firsts, np.arange(len(vertices.charts)), "right") - 1
