"""Which texels triangles cover, counted once for each, whatever lies on top."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from backend.meshes.closing.half_edges import Indices, Points

ROWS_AT_ONCE = 1_000_000
MOST_ROWS = 10_000_000


def covered_texels(corners: Points) -> tuple[Indices, Indices, Indices]:
    """Find the texels whose centres lie in each triangle.

    Two triangles with an edge in common never share a texel: an edge crosses a row in the same
    place for both, and the texel there goes to one of them.

    Parameters
    ----------
    corners : (m, 3, 2) float64
        Column and row of the corners, in texels; texel i reaches from i to i + 1.

    Returns
    -------
    faces, rows, columns : (p,) int64
        One entry for each texel of each triangle, by triangle, row and column.

    Notes
    -----
    Time grows with the number of covered texels and of rows that triangles cross; see
    ``affordable_share`` for slivers.
    """
    ends = np.cumsum(_row_counts(corners)) // ROWS_AT_ONCE
    cuts = np.flatnonzero(np.diff(ends, prepend=-1, append=-1)) if len(ends) else np.array([0, 0])
    found = [_covered(corners[begin:end], begin) for begin, end in pairwise(cuts.tolist())]
    faces, rows, columns = (np.concatenate(column) for column in zip(*found, strict=True))
    return faces, rows, columns


def affordable_share(corners: Points) -> float:
    """By how much triangles must shrink so that they cross a bearable number of rows, up to 1."""
    return min(1.0, MOST_ROWS / max(float(_row_counts(corners).sum()), 1.0))


def _row_counts(corners: Points) -> Points:
    return np.asarray(np.ptp(corners[..., 1], axis=1) + 1)


def _covered(corners: Points, offset: int) -> tuple[Indices, Indices, Indices]:
    heights = corners[..., 1]
    first = np.ceil(heights.min(axis=1) - 0.5).astype(np.int64)
    last = np.ceil(heights.max(axis=1) - 0.5).astype(np.int64)
    faces, steps = _expanded(last - first)
    rows = first[faces] + steps
    crossings = np.stack([_crossings(corners, edge, faces, rows) for edge in range(3)], axis=1)
    left, right = np.fmin.reduce(crossings, axis=1), np.fmax.reduce(crossings, axis=1)
    begin = np.ceil(left - 0.5).astype(np.int64)
    end = np.ceil(right - 0.5).astype(np.int64)
    spans, steps = _expanded(end - begin)
    return faces[spans] + offset, rows[spans], begin[spans] + steps


def _crossings(corners: Points, edge: int, faces: Indices, rows: Indices) -> Points:
    """Column at which an edge crosses the middle of a row, NaN where it does not."""
    one, other = corners[:, edge], corners[:, (edge + 1) % 3]
    swapped = _is_after(one, other)[:, None]
    low, high = np.where(swapped, other, one)[faces], np.where(swapped, one, other)[faces]
    middle = rows + 0.5
    crosses = (low[:, 1] <= middle) & (middle < high[:, 1])
    rise = np.where(crosses, high[:, 1] - low[:, 1], 1.0)
    place = low[:, 0] + (middle - low[:, 1]) / rise * (high[:, 0] - low[:, 0])
    return np.where(crosses, place, np.nan)


def _is_after(one: Points, other: Points) -> NDArray[np.bool_]:
    lower = one[:, 1] > other[:, 1]
    return np.asarray(lower | ((one[:, 1] == other[:, 1]) & (one[:, 0] > other[:, 0])))


def _expanded(counts: Indices) -> tuple[Indices, Indices]:
    """Repeat each entry as often as it counts, and number the repeats from 0."""
    kept = np.maximum(counts, 0)
    owners = np.repeat(np.arange(len(kept)), kept)
    begins = np.cumsum(kept) - kept
    return owners, np.arange(len(owners)) - begins[owners]
