"""The triangles within one cell of a grid, for each way its corners can lie inside or outside.

A surface passes between inside and outside, so it cuts those edges of a cell whose ends differ.
On each face of the cell, segments join the cuts; the segments of all six faces join to loops, and
loops are filled with triangles. The table of all 256 patterns is worked out here from that.

Why the surface closes, whatever the values:

- On a face whose corners alternate there are two ways to join four cuts. Which one is taken depends
  on the four corners of that face alone, so both cells beside it draw the same segments. Here the
  inside corners stay joined: a strand or a sheet thinner than a cell does not fall apart.
- Seen from outside the cell, one walks around each face counter-clockwise, and a segment goes from
  where one walks in to where one walks out. For the cell on the other side it is the other way
  around: a segment has one triangle on either side, in opposite directions.
- Lines across a loop never lie in a face of the cell. If they did, the cell beside it could draw
  the same line, and four triangles would meet there.

Corners have the number 4 x + 2 y + z; edges 4 axis + 2 u + v, where u and v are the places of the
edge along the two other axes, in their order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

PATTERNS = 256
_RING = ((0, 0), (1, 0), (1, 1), (0, 1))

Corner = tuple[int, ...]
Loop = tuple[int, ...]
Triangle = tuple[int, int, int]


@dataclass(frozen=True)
class CellTable:
    """What to draw in a cell, by its pattern: bit c is set where corner c is inside.

    Parameters
    ----------
    edge_starts : (12, 3) int64
        The end of each edge that is nearer to the origin.
    edge_axes : (12,) int64
        The axis along which it runs.
    is_cut : (256, 12) bool
        The edges that the surface cuts.
    triangle_counts, first_triangles : (256,) int64
        How many triangles a pattern has, and where in ``triangles`` they begin.
    triangles : (t, 3) int64
        Their corners, counter-clockwise seen from outside: the how manyth of the cut edges.
    """

    edge_starts: NDArray[np.int64]
    edge_axes: NDArray[np.int64]
    is_cut: NDArray[np.bool_]
    triangle_counts: NDArray[np.int64]
    first_triangles: NDArray[np.int64]
    triangles: NDArray[np.int64]


@cache
def cell_table() -> CellTable:
    """Work out what to draw for each of the 256 patterns."""
    edges = sorted(_ends_of_edges())
    starts = [_ends_of_edges()[edge][0] for edge in edges]
    loops = [loops_of(inside_corners(pattern)) for pattern in range(PATTERNS)]
    filled = [[triangle for loop in of for triangle in filling(loop)] for of in loops]
    cuts = [sorted(edge for loop in of for edge in loop) for of in loops]
    counts = np.array([len(triangles) for triangles in filled], dtype=np.int64)
    return CellTable(
        np.array(starts, dtype=np.int64),
        np.array(edges, dtype=np.int64) // 4,
        np.array([[edge in of for edge in edges] for of in cuts]),
        counts,
        np.cumsum(counts) - counts,
        np.array(
            [
                [of.index(edge) for edge in triangle]
                for of, triangles in zip(cuts, filled, strict=True)
                for triangle in triangles
            ],
            dtype=np.int64,
        ),
    )


def inside_corners(pattern: int) -> frozenset[Corner]:
    """Return the corners whose bit is set."""
    corners = enumerate(product((0, 1), repeat=3))
    return frozenset(corner for bit, corner in corners if pattern >> bit & 1)


def loops_of(inside: frozenset[Corner]) -> list[Loop]:
    """Join the segments of all faces to loops of cut edges, each begun at its lowest edge."""
    after: dict[int, int] = {}
    for walk in _walks_around_faces():
        after.update(_segments(walk, inside))
    loops = []
    while after:
        loop = [min(after)]
        while (following := after.pop(loop[-1])) != loop[0]:
            loop.append(following)
        loops.append(tuple(loop))
    return loops


def filling(loop: Loop) -> list[Triangle]:
    """Fill a loop: of all ways without a line in a face of the cell, that of the least area."""
    return min(_fillings(loop), key=lambda triangles: (round(_area(triangles), 9), triangles))


def faces_of_edge(edge: int) -> frozenset[tuple[int, int]]:
    """Return the two faces of the cell an edge lies in, as axis and side."""
    start, end = _ends_of_edges()[edge]
    return frozenset((axis, start[axis]) for axis in range(3) if start[axis] == end[axis])


def _segments(walk: list[Corner], inside: frozenset[Corner]) -> Iterator[tuple[int, int]]:
    """Join the cuts of one face: from where the walk goes in to where it had gone out before."""
    cuts = [
        (_edge_between(here, there), there in inside)
        for here, there in pairwise([*walk, walk[0]])
        if (here in inside) != (there in inside)
    ]
    for place, (edge, goes_in) in enumerate(cuts):
        if goes_in:  # from index 0 to -1, the walk being a ring
            yield edge, cuts[place - 1][0]


def _fillings(loop: Loop) -> Iterator[list[Triangle]]:
    """Yield every way to cut a loop into triangles that has no line in a face of the cell."""
    if len(loop) == 2:
        yield []
    first, last = loop[0], loop[-1]
    for place in range(1, len(loop) - 1):
        apex = loop[place]
        if place > 1 and faces_of_edge(first) & faces_of_edge(apex):
            continue
        if place < len(loop) - 2 and faces_of_edge(apex) & faces_of_edge(last):
            continue
        for one, other in product(_fillings(loop[: place + 1]), _fillings(loop[place:])):
            yield [(first, apex, last), *one, *other]


def _area(triangles: list[Triangle]) -> float:
    """Return the area of triangles whose corners lie in the middle of edges."""
    a, b, c = np.moveaxis(_middles_of_edges()[np.array(triangles)], 1, 0)
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def _walks_around_faces() -> Iterator[list[Corner]]:
    """Yield the corners of each face, counter-clockwise seen from outside the cell."""
    for axis, side in product(range(3), (0, 1)):
        walk = [_placed({axis: side, (axis + 1) % 3: u, (axis + 2) % 3: v}) for u, v in _RING]
        yield walk if side else walk[::-1]


def _placed(coordinates: dict[int, int]) -> Corner:
    return tuple(coordinates[axis] for axis in range(3))


def _edge_between(here: Corner, there: Corner) -> int:
    """Return the number of the edge that joins two corners."""
    (axis,) = (axis for axis in range(3) if here[axis] != there[axis])
    u, v = (here[other] for other in range(3) if other != axis)
    return 4 * axis + 2 * u + v


@cache
def _ends_of_edges() -> dict[int, tuple[Corner, Corner]]:
    """Return both ends of each edge, that nearer to the origin first."""
    corners = list(product((0, 1), repeat=3))
    return {
        _edge_between(here, there): (here, there)
        for here, there in product(corners, corners)
        if here < there and sum(abs(a - b) for a, b in zip(here, there, strict=True)) == 1
    }


@cache
def _middles_of_edges() -> NDArray[np.float64]:
    """Return the middle of each edge, (12, 3) float64."""
    ends = _ends_of_edges()
    return np.array([np.mean(ends[edge], axis=0) for edge in sorted(ends)])
