"""Cuts charts that are too long for the texture, so that not everything is shrunk to fit them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.meshes.closing.half_edges import Indices, Points
from backend.meshes.texturing.charts.chart_surface import ChartSurface, summed

LONGEST_SHARE = 0.75
"""Of the side of the texture; charts up to it are left alone."""
PIECE_SHARE = 0.5
SQUEEZED_FROM, SQUEEZED_SHARE = 1.6, 0.9
"""Of the side; what cannot be cut is squeezed if it is longer than the first, to the second.
Half a square, alone in a texture, is 1.5 sides long and still fits."""
SHORTER_SHARE = 0.8
"""Pieces must be shorter than this share of the chart, or it was cut for nothing."""
MOST_PIECES = 2
"""For each wanted one: long faces side by side would fall apart."""


def cut_long_charts(
    surface: ChartSurface, charts: Indices, corners: Points, side: float
) -> Indices:
    """Cut long charts across; where they lie in their chart does not change.

    Parameters
    ----------
    surface : ChartSurface
    charts : (m,) int64
        Chart of each face, from 0.
    corners : (m, 3, 2) float64
        Where they lie in their chart.
    side : float
        Expected side of the texture, in the unit of ``corners``.

    Returns
    -------
    (m,) int64
        From 0 without gaps.
    """
    along, lengths, _ = _along(charts, corners)
    counts = np.ceil(lengths / (PIECE_SHARE * side)).astype(np.int64)
    counts[lengths <= LONGEST_SHARE * side] = 1
    if (counts == 1).all():
        return charts
    steps = np.minimum((along.mean(axis=1) * counts[charts]).astype(np.int64), counts[charts] - 1)
    pieces = surface.pieces(charts * int(counts.max()) + steps)
    is_cut = _is_shorter(charts, pieces, along) & (_found(charts, pieces) <= MOST_PIECES * counts)
    return surface.pieces(np.where(is_cut[charts], int(charts.max()) + 1 + pieces, charts))


def squeezed(charts: Indices, corners: Points, side: float) -> Points:
    """Squeeze charts that are longer than the texture along their length.

    Their faces are as long themselves, or they would have been cut. So only these charts are
    coarse in that one direction, instead of all charts in both.

    Parameters
    ----------
    charts : (m,) int64
        Chart of each face, from 0.
    corners : (m, 3, 2) float64
        Where they lie in their chart.
    side : float
        Expected side of the texture, in the unit of ``corners``.

    Returns
    -------
    (m, 3, 2) float64
    """
    along, lengths, axes = _along(charts, corners)
    too_long = lengths > SQUEEZED_FROM * side
    excess = np.where(too_long, lengths - SQUEEZED_SHARE * side, 0.0)[charts]
    return np.asarray(corners - (excess[:, None] * along)[..., None] * axes[charts][:, None])


def _along(charts: Indices, corners: Points) -> tuple[Points, Points, Points]:
    """Measure charts along their longer axis.

    Returns
    -------
    places : (m, 3) float64
        Of each corner along its chart, from 0 to 1.
    lengths : (k,) float64
    axes : (k, 2) float64
        Of length 1.
    """
    count = int(charts.max(initial=-1)) + 1
    middles = corners.mean(axis=1)
    sizes = np.maximum(np.bincount(charts, minlength=count), 1)[:, None]
    centres = summed(middles, charts, count) / sizes
    offsets = middles - centres[charts]
    x, y = offsets.T
    moments = summed(np.stack([x * x - y * y, 2 * x * y], axis=1), charts, count)
    angles = np.arctan2(moments[:, 1], moments[:, 0]) / 2
    axes = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    places = np.einsum("ijk,ik->ij", corners, axes[charts])
    low, high = _limits(charts, places, count)
    lengths = np.maximum(high - low, 1e-300)
    return (places - low[charts][:, None]) / lengths[charts][:, None], lengths, axes


def _limits(charts: Indices, places: Points, count: int) -> tuple[Points, Points]:
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, charts, places.min(axis=1))
    np.maximum.at(high, charts, places.max(axis=1))
    return low, high


def _is_shorter(charts: Indices, pieces: Indices, along: Points) -> NDArray[np.bool_]:
    """Whether all pieces of a chart are clearly shorter than it, (k,) bool."""
    low, high = _limits(pieces, along, int(pieces.max()) + 1)
    longest = np.zeros(int(charts.max()) + 1)
    np.maximum.at(longest, charts, (high - low)[pieces])
    return np.asarray(longest < SHORTER_SHARE)


def _found(charts: Indices, pieces: Indices) -> Indices:
    """How many pieces each chart fell into, (k,) int64."""
    first = np.unique(pieces, return_index=True)[1]
    return np.bincount(charts[first], minlength=int(charts.max()) + 1).astype(np.int64)
