"""Evaluates a field on a grid: everywhere, or coarse to fine near its surface. Imports torch.

A field says for points in space how far inside a body they lie: above 0 inside, else outside.
Coarse to fine against dense, for a field whose values do not depend on who else is asked:

- Every value that was asked for is the same, and a cell in which the sign changes has no corner
  that was not. So where there is a surface it is the same to the last digit.
- Cells are followed from neighbour to neighbour as long as the surface goes on. A connected part
  of the surface is therefore found whole or, if no coarser grid came near it, not at all.
- None is missed of which every coarser grid has a corner inside, or a corner that lies closer to
  0 than the field changes over half of a cell's diagonal. For a field that falls off with the
  distance this holds for sheets and strands of any thickness; one that only tells inside from
  outside may lose a separate part that fits between coarse corners.

The last digits of a network may depend on the size of the call. The result is deterministic.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from backend.engines.field_calls import Box, Field, FieldCalls, Tell
from backend.engines.grid_levels import (
    Region,
    Shape,
    cells_crossed,
    cells_near_surface,
    corners_in_halves,
    full_shape,
    levels_of,
    positions,
    split_cells,
    unsettled_corners,
)
from backend.profiling.stage_facts import FactName, note_fact

COARSEST_CELLS = 32


@dataclass(frozen=True)
class DecodedGrid:
    """A field on the corners of a grid.

    Parameters
    ----------
    values : Tensor, shape (rx + 1, ry + 1, rz + 1) float32
        Corners that were not asked for hold an interpolation between those of coarser grids.
    is_asked : Tensor, same shape, bool
    queries : int
        Points asked for.
    hierarchical_queries : int
        Points that coarse to fine asks for.
    same_surface : bool or None
        After a dense decode, whether coarse to fine would have found the same surface.
    bookkeeping_s : float or None
        After a dense decode, the seconds that coarse to fine takes beside asking.
    """

    values: Tensor
    is_asked: Tensor
    queries: int
    hierarchical_queries: int
    same_surface: bool | None = None
    bookkeeping_s: float | None = None


def decode_grid(
    field: Field,
    resolution: int | Shape,
    box: Box,
    *,
    chunk_points: int = 0,
    hierarchical: bool = True,
    progress: Tell = lambda share: None,
    device: torch.device | str = "cpu",
    coarsest_cells: int = COARSEST_CELLS,
    band: float = 0.0,
    lower_resolution: int | None = None,
) -> DecodedGrid:
    """Evaluate a field on the corners of a grid.

    Parameters
    ----------
    field : callable
        Takes points, shape (n, 3) float32, and returns a float for each that depends on it alone.
    resolution : int or three of them
        Cells along x, y and z.
    chunk_points : int
        Most points of one call; 0 takes as many as are of use. When memory runs out, a call is
        tried again with half of its points.
    hierarchical : bool
        Coarse to fine. The coarsest grid is asked everywhere. On each finer one only corners are
        asked whose coarser cell, or a neighbour of it, the surface passes or comes near.
    progress : callable
        Told a share from 0 to 1 before each call; what it raises is raised.
    device : torch.device or str
        Where points are made and values are kept.
    coarsest_cells : int
        The coarsest grid has at least so many cells along its longest side.
    band : float
        Coarse to fine also asks in every cell with a corner nearer to 0 than this. Of use for
        distances that are cut off: beside a thin part, their slope does not tell how near it is.
    lower_resolution : int, optional
        The next lower one worth a try, noted for advice.

    Returns
    -------
    DecodedGrid
        Also noted as the fact ``decode`` on the stage at hand. After a dense decode it tells
        exactly how many queries the other way would have made, and whether it had found the same.

    Raises
    ------
    RuntimeError
        Memory does not even suffice for a small call.
    """
    shape = full_shape(resolution)
    asker = FieldCalls(field, shape, box, chunk_points, torch.device(device), progress)
    levels = levels_of(shape, coarsest_cells) if hierarchical else [shape]
    values, is_asked = _coarse_to_fine(asker, levels, shape, band)
    decoded = DecodedGrid(values, is_asked, asker.queries, asker.queries)
    if not hierarchical:
        decoded = _compared(decoded, levels_of(shape, coarsest_cells), shape, band)
    progress(1.0)
    _note(decoded, shape, lower_resolution)
    return decoded


def _compared(dense: DecodedGrid, levels: list[Shape], shape: Shape, band: float) -> DecodedGrid:
    """Tell what coarse to fine would have asked and found, from the values that are known."""
    look_up = _LookUp(dense.values)
    dense.values[0, 0, 0].item()  # waits for the device, so that only this is timed
    started_s = time.perf_counter()
    found, _ = _coarse_to_fine(look_up, levels, shape, band)
    found[0, 0, 0].item()
    bookkeeping_s = time.perf_counter() - started_s
    same_surface = torch.equal(cells_crossed(found), cells_crossed(dense.values))
    return replace(
        dense,
        hierarchical_queries=look_up.queries,
        same_surface=same_surface,
        bookkeeping_s=bookkeeping_s,
    )


def _note(decoded: DecodedGrid, shape: Shape, lower_resolution: int | None) -> None:
    """Tell the stage at hand what was asked."""
    note_fact(
        FactName.DECODE,
        {
            "resolution": max(shape),
            "queries": decoded.queries,
            "hierarchical_queries": decoded.hierarchical_queries,
            "same_surface": decoded.same_surface,
            "bookkeeping_s": decoded.bookkeeping_s,
            "lower_resolution": lower_resolution,
        },
    )


class _LookUp:
    """Answers from values that are known already, and counts."""

    def __init__(self, values: Tensor) -> None:
        self._values = values.reshape(-1)
        self.device = values.device
        self.queries = 0

    def enter_level(self, level: int, levels: int) -> None:
        """Report nothing."""

    def __call__(self, flat: Tensor | range) -> Tensor:
        """Return the values of corners."""
        self.queries += len(flat)
        return (
            self._values[flat.start : flat.stop] if isinstance(flat, range) else self._values[flat]
        )


def _coarse_to_fine(
    ask: FieldCalls | _LookUp, levels: list[Shape], finest: Shape, band: float
) -> tuple[Tensor, Tensor]:
    """Return the values on the last level, and which of its corners were asked."""
    first = levels[0]
    corners = tuple(cells + 1 for cells in first)
    is_asked = torch.ones(corners, dtype=torch.bool, device=ask.device)
    ask.enter_level(0, len(levels))
    if first == finest:  # their places would take twice the memory of values
        return ask(range(is_asked.numel())).reshape(corners), is_asked
    values = torch.zeros(corners, device=ask.device)
    _fill(ask, values, is_asked, positions(levels, 0, ask.device), finest)
    for number in range(1, len(levels)):
        shape = levels[number]
        wanted = corners_in_halves(cells_near_surface(values, band), shape)
        values, is_asked = split_cells(values, is_asked, shape)
        where = positions(levels, number, ask.device)
        ask.enter_level(number, len(levels))
        todo = wanted & ~is_asked
        region: Region = (slice(None),) * 3
        del wanted
        while True:
            _fill(ask, values, todo, where, finest)
            is_asked |= todo
            found = unsettled_corners(values, is_asked, region)
            if found is None:
                break
            todo, region = found
    return values, is_asked


def _fill(
    ask: FieldCalls | _LookUp,
    values: Tensor,
    todo: Tensor,
    where: tuple[Tensor, Tensor, Tensor],
    finest: Shape,
) -> None:
    """Ask for corners of a level and write what comes back."""
    own = todo.flatten().nonzero().squeeze(1)
    values.view(-1)[own] = ask(_flat_in(own, where, finest))


def _flat_in(own: Tensor, where: tuple[Tensor, Tensor, Tensor], finest: Shape) -> Tensor:
    """Turn flat indices of a level into those of the finest."""
    nx, ny, nz = (len(places) for places in where)
    if (nx - 1, ny - 1, nz - 1) == finest:
        return own
    plane = own // nz
    x, y, z = (
        places[index]
        for places, index in zip(where, (plane // ny, plane % ny, own % nz), strict=True)
    )
    return (x * (finest[1] + 1) + y) * (finest[2] + 1) + z
