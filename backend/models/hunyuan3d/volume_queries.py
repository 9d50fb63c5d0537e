"""Asks a field of a whole grid or of some of its corners, in chunks. Imports torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

Field = Callable[[Tensor], Tensor]
OnQuery = Callable[[int, int], None]

HALF_WIDTH = 1.01


@dataclass
class QueryCount:
    """Counts queries and tells of them.

    Parameters
    ----------
    on_query : callable
        Told before each call how many queries are done, and how many are known to be needed so
        far; on a finer grid more become known. What it raises is raised.
    """

    on_query: OnQuery = field(default=lambda done, known: None)
    done: int = 0
    known: int = 0

    def expect(self, queries: int) -> None:
        """Learn of queries to come."""
        self.known += queries

    def before_call(self) -> None:
        """Tell."""
        self.on_query(self.done, self.known)

    def after_call(self, queries: int) -> None:
        """Count."""
        self.done += queries


@dataclass(frozen=True)
class PointQueries:
    """Asks for points, each of which is answered for itself.

    Parameters
    ----------
    ask : callable
        Takes points, shape (n, 3) float32, and returns n values.
    chunk_points : int
        Most points of a call.
    device : torch.device
        Where points are made and values kept.
    count : QueryCount
    """

    ask: Field
    chunk_points: int
    device: torch.device
    count: QueryCount

    def everywhere(self, cells: int) -> Tensor:
        """Return the values at all corners of a grid, shape (cells + 1,) * 3 float32."""
        corners = (cells + 1) ** 3
        values = torch.zeros(corners, device=self.device)
        self.count.expect(corners)
        for start in range(0, corners, self.chunk_points):
            flat = torch.arange(start, min(corners, start + self.chunk_points), device=self.device)
            values[start : start + len(flat)] = self._answers(on_axes(flat, cells))
        return values.view((cells + 1,) * 3)

    def at(self, flat: Tensor, cells: int) -> Tensor:
        """Return the values at corners, named by flat index, shape (n,) float32."""
        self.count.expect(len(flat))
        parts = (
            self._answers(on_steps(part, cells))
            for part in flat.split(self.chunk_points)
            if len(part)
        )
        return torch.cat([torch.zeros(0, device=self.device), *parts])

    def _answers(self, points: Tensor) -> Tensor:
        self.count.before_call()
        values = self.ask(points).reshape(-1).float()
        self.count.after_call(len(points))
        return values


def on_axes(flat: Tensor, cells: int) -> Tensor:
    """Return where corners of a first grid lie: at even steps between two exact ends.

    Parameters
    ----------
    flat : Tensor, shape (n,) int64
        The index along z runs fastest.

    Returns
    -------
    Tensor, shape (n, 3) float32
    """
    # rounded once, as numpy does: in float32 a third of the steps would be off in the last digit
    axis = torch.linspace(-HALF_WIDTH, HALF_WIDTH, cells + 1, dtype=torch.float64).float()
    return axis.to(flat.device)[_indices(flat, cells)]


def on_steps(flat: Tensor, cells: int) -> Tensor:
    """Return where corners of a finer grid lie: so many steps from the lower end.

    That differs from ``on_axes`` by rounding alone, and is how the published decoders do it.
    """
    return _indices(flat, cells).float() * (2 * HALF_WIDTH / cells) - HALF_WIDTH


def _indices(flat: Tensor, cells: int) -> Tensor:
    corners = cells + 1
    plane = flat // corners
    return torch.stack([plane // corners, plane % corners, flat % corners], dim=-1)
