"""The triangles between inside and outside of a field on a grid, by marching cubes. Imports torch.

Only the cells that the surface passes are looked at a second time, and neighbours share their
vertices from the start, so nothing needs to be merged afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from backend.errors import NoSurfaceFound
from backend.meshes.isosurface.active_cells import ActiveCells, Grid, active_cells
from backend.meshes.isosurface.cell_polygons import cell_table

# Of the length of an edge. A vertex in a corner would meet those of other edges there, and faces
# would have no area. Float32 can tell so little apart at 512 cells.
CLEARANCE = 1e-4
INT32_END = 1 << 31


@dataclass(frozen=True)
class IsoSurface:
    """A surface; every edge joins two faces, in opposite directions, unless it lies at a border.

    Parameters
    ----------
    vertices : Tensor, shape (v, 3) float32
    faces : Tensor, shape (f, 3) int64
        Counter-clockwise seen from outside.
    leaves_grid : bool
        The body reaches beyond the grid: it is open there, or cut off.
    """

    vertices: Tensor
    faces: Tensor
    leaves_grid: bool


def extract_surface(
    values: Tensor,
    lower: Sequence[float],
    upper: Sequence[float],
    *,
    level: float = 0.0,
    closed: bool = True,
    compat_upstream_scale: bool = False,
) -> IsoSurface:
    """Find the surface between values above a level, which are inside, and the others.

    Parameters
    ----------
    values : Tensor, shape (x, y, z) float32
        On the corners of a grid, on any device; at least 2 along each side. NaN where unknown:
        the surface is open around cells with such a corner.
    lower, upper : three float
        Where the first and the last corner lie.
    level : float
    closed : bool
        Take everything beyond the grid as outside, so that a body which reaches there is cut off
        and closed. Otherwise the surface is open there.
    compat_upstream_scale : bool
        Divide by the number of corners, not of cells, as the published code does. The surface
        then is a little smaller than the body and lies a little nearer to ``lower``.

    Returns
    -------
    IsoSurface
        On the device of ``values``. The same values give the same surface.

    Raises
    ------
    NoSurfaceFound
        No cell has values on both sides of the level.

    Source
    ------
    Lorensen and Cline, Marching Cubes, 1987, with the rule of ``cell_polygons`` on faces.
    """
    grid = Grid(values.detach().contiguous(), level)
    cells = active_cells(grid, closed=closed)
    if not len(cells):
        raise NoSurfaceFound(_why_none(values, level))
    keys, faces = _numbered(grid, cells)
    vertices = torch.stack(
        [
            (places * ((high - low) / (side - 1 + int(compat_upstream_scale))) + low).float()
            for places, low, high, side in zip(
                _vertex_places(grid, keys), lower, upper, values.shape, strict=True
            )
        ],
        dim=1,
    )
    return IsoSurface(vertices, faces, _reaches_border(values, level))


def _numbered(grid: Grid, cells: ActiveCells) -> tuple[Tensor, Tensor]:
    """Number the cut edges of the grid, and give the faces their corners.

    Returns
    -------
    keys : Tensor, shape (v,) int64
        Of each cut edge: three times the flat index of its first corner, plus its axis.
    faces : Tensor, shape (f, 3) int64
        Indices into ``keys``.
    """
    table, device = cell_table(), cells.corners.device
    offsets = 3 * table.edge_starts @ np.array(grid.strides) + table.edge_axes
    is_cut = torch.tensor(table.is_cut, device=device)[cells.patterns]
    row, edge = torch.nonzero(is_cut, as_tuple=True)
    wanted = 3 * cells.corners[row] + torch.tensor(offsets, device=device)[edge]
    if 3 * math.prod(grid.shape) < INT32_END:  # half the time to sort
        wanted = wanted.int()
    keys, numbers = torch.unique(wanted, return_inverse=True)
    return keys.long(), _faces(cells, numbers)


def _faces(cells: ActiveCells, numbers: Tensor) -> Tensor:
    """Look up the triangles of each cell.

    Parameters
    ----------
    numbers : Tensor, shape (p,) int64
        The vertices on the cut edges of the first cell, of the second, and so on.
    """
    table, device = cell_table(), numbers.device
    counts, firsts, cuts = (
        torch.tensor(column, device=device)[cells.patterns]
        for column in (table.triangle_counts, table.first_triangles, table.is_cut.sum(axis=1))
    )
    row = torch.repeat_interleave(counts)
    first_triangles = firsts - (counts.cumsum(0) - counts)
    triangle = torch.arange(len(row), device=device) + first_triangles[row]
    first_cuts = cuts.cumsum(0) - cuts
    ranks = torch.tensor(table.triangles, device=device)[triangle]
    return numbers[ranks.add_(first_cuts[row][:, None])]


def _vertex_places(grid: Grid, keys: Tensor) -> list[Tensor]:
    """Return x, y and z of where the level is reached on edges, each (v,) float64, in cells."""
    starts = keys // 3
    axes = keys - 3 * starts
    places = grid.places(starts)
    first, second = _ends(grid.values, places, axes)
    first, second = first.double() - grid.level, second.double() - grid.level
    starts_inside = first > 0
    # from the end inside, so that one infinitely far outside does no harm
    within = torch.where(starts_inside, first, second)
    shares = (within / (first - second).abs_()).clamp_(CLEARANCE, 1 - CLEARANCE)
    shares = torch.where(starts_inside, shares, 1 - shares)
    return [
        torch.where(axes == axis, place + shares, place.double())
        for axis, place in enumerate(places)
    ]


def _ends(values: Tensor, places: Sequence[Tensor], axes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the values at both ends of edges, each (v,) float32; minus infinity in the rim.

    Parameters
    ----------
    places : three Tensors, shape (v,) int64
        First ends. No edge has both in the rim.
    axes : Tensor, shape (v,) int64
    """
    x, y, z = places
    _, y_count, z_count = values.shape
    flat = (x * y_count + y) * z_count + z
    next_one = flat + axes.new_tensor([y_count * z_count, z_count, 1])[axes]
    along = torch.where(axes == 0, x, torch.where(axes == 1, y, z))
    starts_in_rim = along < 0
    stops_in_rim = along == axes.new_tensor(values.shape)[axes] - 1
    known = values.reshape(-1)
    first = known[torch.where(starts_in_rim, next_one, flat)]
    second = known[torch.where(stops_in_rim, flat, next_one)]
    first.masked_fill_(starts_in_rim, -torch.inf)
    second.masked_fill_(stops_in_rim, -torch.inf)
    return first, second


def _reaches_border(values: Tensor, level: float) -> bool:
    """Whether anything on the outermost corners lies inside."""
    borders = [values.select(axis, side) for axis in range(3) for side in (0, -1)]
    return bool(torch.stack([(border > level).any() for border in borders]).any())


def _why_none(values: Tensor, level: float) -> str:
    """Say why there is no surface."""
    is_inside, is_outside = bool((values > level).any()), bool((values <= level).any())
    if is_inside and is_outside:
        return "The values around the surface are not known."
    if is_inside:
        return f"Everywhere on the grid the field is above {level:g}: nothing is outside."
    if is_outside:
        return f"Nowhere on the grid is the field above {level:g}: nothing is inside."
    return "No value of the field is known."
