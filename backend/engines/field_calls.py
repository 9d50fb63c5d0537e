"""Asks a field for its values in calls that fit into memory. Imports torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from backend.engines.grid_levels import Shape
from backend.gpu.faults import Fault, classify

Field = Callable[[Tensor], Tensor]
Tell = Callable[[float], None]

# Corners near a surface are four times as many on a finer grid. How they compare with all those of
# the coarsest is known only then: bodies that fill the box have about twice as many.
GROWTH = 4
FIRST_GROWTH = 2
# A remainder is asked for in parts of these shares of a chunk, so that a network sees few shapes.
PART_SHIFTS = range(5)
SMALLEST_CHUNK = 256
# Measured with bench.tiny_native on a CPU, where larger calls are slower; the figure for CUDA only
# bounds the memory.
MOST_POINTS = {"cpu": 16_384, "cuda": 262_144}


@dataclass(frozen=True)
class Box:
    """The space that a grid fills, from corner to corner along x, y and z."""

    lower: tuple[float, float, float]
    upper: tuple[float, float, float]


class FieldCalls:
    """Calls a field for corners of the finest grid, named by their flat index, and counts them.

    Parameters
    ----------
    shape : three int
        Cells of the finest grid.
    chunk_points : int
        Most points of one call; 0 for as many as are of use. A call for which memory runs out is
        tried again with half of them.
    """

    def __init__(
        self,
        field: Field,
        shape: Shape,
        box: Box,
        chunk_points: int,
        device: torch.device,
        progress: Tell,
    ) -> None:
        self._field = field
        self._shape = shape
        self._axes = [
            torch.linspace(low, high, cells + 1, device=device)
            for low, high, cells in zip(box.lower, box.upper, shape, strict=True)
        ]
        self._chunk = chunk_points or MOST_POINTS.get(device.type, MOST_POINTS["cuda"])
        self._progress = progress
        self._level, self._levels, self._level_queries, self._told = 0, 1, 0, 0.0
        self.device = device
        self.queries = 0

    def enter_level(self, level: int, levels: int) -> None:
        """Report from here on as this level of so many."""
        self._level, self._levels, self._level_queries = level, levels, 0

    def __call__(self, flat: Tensor | range) -> Tensor:
        """Return the field at corners, shape (n,) float32."""
        found = torch.zeros(len(flat), device=self.device)
        done = 0
        while done < len(flat):
            self._tell(done, len(flat))
            size = _part_of(len(flat) - done, self._chunk)
            values = self._try(self._indices(flat[done : done + size]), size)
            if values is None:  # the failed call is given up by now, and its memory with it
                self._chunk = size // 2
                continue
            found[done : done + len(values)] = values
            done += len(values)
        self.queries += len(flat)
        self._level_queries += len(flat)
        return found

    def _indices(self, flat: Tensor | range) -> Tensor:
        if isinstance(flat, range):
            return torch.arange(flat.start, flat.stop, device=self.device)
        return flat

    def _try(self, flat: Tensor, size: int) -> Tensor | None:
        """Call the field, None if memory ran out and fewer points may do."""
        count = len(flat)
        if count < size:
            flat = torch.cat([flat, flat[-1:].expand(size - count)])
        try:
            return self._field(self._points(flat)).reshape(-1)[:count].float()
        except Exception as error:
            if size <= SMALLEST_CHUNK or classify(error) is not Fault.OUT_OF_MEMORY:
                raise
        return None

    def _points(self, flat: Tensor) -> Tensor:
        _, ny, nz = (cells + 1 for cells in self._shape)
        plane = flat // nz
        where = (plane // ny, plane % ny, flat % nz)
        return torch.stack([axis[i] for axis, i in zip(self._axes, where, strict=True)], dim=-1)

    def _tell(self, done: int, wanted: int) -> None:
        """Tell the share of queries done, of those known and those that finer levels will need."""
        growth = GROWTH if self._level else FIRST_GROWTH
        finer = range(self._levels - 1 - self._level)
        later = (self._level_queries + wanted) * growth * sum(GROWTH**level for level in finer)
        share = (self.queries + done) / (self.queries + wanted + later)
        self._told = max(self._told, share)
        self._progress(self._told)


def _part_of(points: int, chunk: int) -> int:
    """Size of the next call: a chunk, or the largest part of one that is not too large.

    >>> [_part_of(points, 4096) for points in (9000, 4096, 3000, 300, 3)]
    [4096, 4096, 2048, 256, 256]
    """
    sizes = [max(1, chunk >> shift) for shift in PART_SHIFTS]
    return next((size for size in sizes if size <= points), sizes[-1])
