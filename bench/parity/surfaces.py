"""Compares surfaces that were recorded: their corners, and how faces join them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.meshes.isosurface.surface import IsoSurface, extract_surface
from bench.parity.comparison import Comparison, compared_as_sets

HALF_SIDE = 1.01
POINT_TOLERANCE, SEGMENT_TOLERANCE, COUNT_TOLERANCE = 1e-3, 1e-3, 1e-2
# Nearer to a corner of the grid, in its steps, rounding decides which edges are cut.
NEAR_CORNER = 1e-3
# What another program may make of a wall whose corners alternate: two triangles more on each side.
FACES_PER_UNDECIDED_WALL = 4


@dataclass(frozen=True)
class RecordedGrid:
    """Values that a surface was read off.

    Parameters
    ----------
    values : Tensor, shape (cells + 1, cells + 1, cells + 1) float32
    wanted_cells : int
        Along each side, as asked for: published corners are spread over one more than these.
    level : float
    """

    values: Tensor
    wanted_cells: int
    level: float = 0.0

    def surface(self) -> IsoSurface:
        """Extract it in steps of the grid."""
        end = float(self.values.shape[0] - 1)
        return extract_surface(self.values, (0.0,) * 3, (end,) * 3, level=self.level, closed=False)

    def published(self, steps: Tensor) -> Tensor:
        """Lay corners, in steps of the grid, where the original lays them."""
        return steps / (self.wanted_cells + 1) * (2 * HALF_SIDE) - HALF_SIDE

    def steps(self, corners: Tensor) -> NDArray[np.float64]:
        """Undo ``published``."""
        steps = (corners.double() + HALF_SIDE) / (2 * HALF_SIDE) * (self.wanted_cells + 1)
        return steps.numpy()

    def is_known_at(self, places: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which places, in steps, touch a cell all of whose corners were asked.

        Elsewhere another program may draw what it likes, even corners that are nowhere.
        """
        known = ~self.values.isnan().numpy()
        size = known.shape[0] - 1
        corners = product((0, 1), repeat=3)
        each = [known[x : x + size, y : y + size, z : z + size] for x, y, z in corners]
        cells: NDArray[np.bool_] = np.logical_and.reduce(each)
        is_finite: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(places), axis=1)
        finite = np.where(is_finite[:, None], places, 0.0)
        found = np.zeros(len(places), bool)
        for side in product((-NEAR_CORNER, NEAR_CORNER), repeat=3):
            cell = np.floor(finite + side).astype(int)
            is_on_grid = (cell >= 0) & (cell < size)
            inside: NDArray[np.bool_] = np.logical_and.reduce(is_on_grid, axis=1)
            x, y, z = np.where(inside[:, None], cell, 0).T
            found |= inside & cells[x, y, z]
        return found & is_finite


def surface_comparisons(
    title: str, grid: RecordedGrid, recorded: Mapping[str, Tensor]
) -> Iterator[Comparison]:
    """Compare the corners of a surface as sets, and its faces by the segments between them.

    Parameters
    ----------
    title : str
        What the lines begin with.
    grid : RecordedGrid
    recorded : mapping of names to Tensor
        A name that ends in 'verts' is of corners, shape (n, 3); one that ends in 'faces' of
        faces, shape (m, 3).
    """
    own = grid.surface()
    corners = next((recorded[name] for name in recorded if name.endswith("verts")), None)
    for name, tensor in sorted(recorded.items()):
        line = f"{title} {name}"
        if name.endswith("verts"):
            yield _placed(line, own, grid, tensor)
        elif corners is None or "trimesh" in name or int(tensor.max()) >= len(corners):
            yield _counted(line, own, tensor)
        else:
            places = grid.steps(corners)
            middles = places[tensor.long().numpy()].mean(axis=1)
            yield _joined(line, own, places, tensor.long().numpy()[grid.is_known_at(middles)])


def _placed(line: str, own: IsoSurface, grid: RecordedGrid, corners: Tensor) -> Comparison:
    """Compare corners as sets, but for those that another program puts inside of cells.

    Nor are those compared that it puts beside values that were not asked.
    """
    steps = grid.steps(corners)
    is_on_edge = torch.from_numpy(_on_edge(steps) & grid.is_known_at(steps))
    inside = int((~is_on_edge).sum())
    note = f"as sets of points; {inside} left out where programs may differ" if inside else ""
    placed = grid.published(own.vertices)
    return compared_as_sets(line, placed, corners[is_on_edge], POINT_TOLERANCE, note)


def _on_edge(places: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which places, in steps of the grid, lie on an edge of it."""
    found: NDArray[np.bool_] = (np.abs(places - places.round()) < NEAR_CORNER).sum(axis=1) >= 2
    return found


def _counted(line: str, own: IsoSurface, faces: Tensor) -> Comparison:
    """Compare how many faces there are; those whose corners were not recorded tell no more."""
    share = abs(len(faces) - len(own.faces)) / max(len(faces), 1)
    note = f"share of faces more or fewer: {len(faces)} recorded, {len(own.faces)} ours"
    return Comparison(line, share, COUNT_TOLERANCE, note)


def _joined(
    line: str, own: IsoSurface, corners: NDArray[np.float64], faces: NDArray[np.int64]
) -> Comparison:
    """Compare the segments on the walls of cells, which no choice of triangles can change.

    Left out are walls whose corners alternate, as there are two ways to join four points, and
    walls with a corner on the surface itself. Recorded faces are not turned yet, so their
    segments go the other way around.
    """
    places = own.vertices.double().numpy()
    nearest = np.full(len(corners), NOWHERE)
    is_on_edge = _on_edge(corners)
    nearest[is_on_edge] = _nearest(corners[is_on_edge], places)
    theirs = _Segments.of(places, nearest[faces][:, ::-1])
    ours = _Segments.of(places, own.faces.numpy())
    walls = theirs.undecided | ours.undecided
    their_single, our_single = theirs.outside(walls), ours.outside(walls)
    differing = len(their_single ^ our_single) / max(len(their_single | our_single), 1)
    more = abs(len(faces) - len(own.faces))
    area, volume = _area_and_volume(places, own.faces.numpy())
    their_area, their_volume = _area_and_volume(corners, faces[:, ::-1])
    note = (
        f"share of segments on the walls of cells; {len(faces)} faces, ours {len(own.faces)}; "
        f"area {their_area:.1f}, ours {area:.1f}, and volume {their_volume:.1f}, ours "
        f"{volume:.1f} in cells; {len(walls)} undecided walls left out"
    )
    is_explained = more <= FACES_PER_UNDECIDED_WALL * len(walls)
    return Comparison(line, differing if is_explained else math.inf, SEGMENT_TOLERANCE, note)


def _nearest(corners: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.int64]:
    from scipy.spatial import KDTree

    return np.asarray(KDTree(places).query(corners)[1], np.int64)


def _area_and_volume(places: NDArray[np.float64], faces: NDArray[np.int64]) -> tuple[float, float]:
    """Return the area, and the volume between the faces and the origin, in steps of the grid."""
    a, b, c = (places[faces[:, corner]] for corner in range(3))
    normals = np.cross(b - a, c - a)
    return float(np.linalg.norm(normals, axis=1).sum() / 2), float((a * normals).sum() / 6)


NOWHERE = -1
Segment = tuple[int, int]
Wall = tuple[int, ...]


@dataclass(frozen=True)
class _Segments:
    """Directed segments by the wall of a cell that they lie in."""

    by_wall: Mapping[Wall, frozenset[Segment]]
    undecided: set[Wall]

    @classmethod
    def of(cls, places: NDArray[np.float64], faces: NDArray[np.int64]) -> _Segments:
        """Find the edges of faces whose ends lie on edges of the grid in one wall."""
        starts, ends = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
        is_known = (starts != NOWHERE) & (ends != NOWHERE)
        starts, ends = starts[is_known], ends[is_known]
        found: dict[Wall, set[Segment]] = {}
        middles = (places[starts] + places[ends]) / 2
        for axis in range(3):
            level = places[starts, axis]
            flat = (np.abs(level - level.round()) == 0) & (places[ends, axis] == level)
            for edge in np.flatnonzero(flat):
                others = (int(middles[edge, other]) for other in range(3) if other != axis)
                wall = (axis, int(level[edge]), *others)
                found.setdefault(wall, set()).add((int(starts[edge]), int(ends[edge])))
        by_wall = {wall: frozenset(segments) for wall, segments in found.items()}
        at_corner = (np.abs(places - places.round()) < NEAR_CORNER).sum(axis=1) == 3
        near = set(np.flatnonzero(at_corner).tolist())
        undecided = {
            wall
            for wall, segments in by_wall.items()
            if len({frozenset(segment) for segment in segments}) > 1
            or not near.isdisjoint(chain.from_iterable(segments))
        }
        return cls(by_wall, undecided)

    def outside(self, walls: set[Wall]) -> set[Segment]:
        """Return the segments in all other walls."""
        kept = (segments for wall, segments in self.by_wall.items() if wall not in walls)
        return set().union(*kept)
