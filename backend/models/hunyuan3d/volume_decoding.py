"""The published ways to find the values of a shape on a grid. Imports torch.

They are here to compare with, and for those who want the published result. What shapes are made
with is ``backend.engines.implicit_decode``, which follows the surface and leaves no holes.

The published hierarchical way asked every finer corner at one and the same place; here each is
asked where it lies. It also looked for the surface at the opposite of a level other than 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from backend.models.hunyuan3d.flash_queries import FIRST_BOXES, FlashQueries
from backend.models.hunyuan3d.geo_decoder import GeoDecoder
from backend.models.hunyuan3d.key_selection import KeyChoice
from backend.models.hunyuan3d.near_surface import near_surface, refined_corners
from backend.models.hunyuan3d.shape_vae_layers import GeoKeys
from backend.models.hunyuan3d.volume_queries import Field, OnQuery, PointQueries, QueryCount

CHUNK_POINTS = 8000
COARSEST_CELLS = 63


@dataclass(frozen=True)
class VolumeGrid:
    """Values on the corners of a cube of half width 1.01 around the origin.

    Parameters
    ----------
    values : Tensor, shape (cells + 1, cells + 1, cells + 1) float32
        NaN where not asked.
    cells : int
        Along each side; may be fewer than were wanted.
    queries : int
    """

    values: Tensor
    cells: int
    queries: int


class _Queries(Protocol):
    @property
    def count(self) -> QueryCount: ...

    def everywhere(self, cells: int) -> Tensor: ...

    def at(self, flat: Tensor, cells: int) -> Tensor: ...


def dense_grid(
    field: Field,
    cells: int,
    *,
    chunk_points: int = CHUNK_POINTS,
    device: torch.device | str = "cpu",
    on_query: OnQuery = lambda done, known: None,
) -> VolumeGrid:
    """Ask for every corner.

    Parameters
    ----------
    field : callable
        Takes points, shape (n, 3) float32, and returns n values.
    cells : int
        Along each side.
    chunk_points : int
        Most points of a call.
    device : torch.device or str
        Where points are made and values kept.
    on_query : callable
        Told before each call how many queries are done, and how many are known to be needed so
        far.
    """
    queries = PointQueries(field, chunk_points, torch.device(device), QueryCount(on_query))
    return _coarse_to_fine(queries, [cells], level=0.0)


def hierarchical_grid(
    field: Field,
    cells: int,
    *,
    level: float = 0.0,
    coarsest_cells: int = COARSEST_CELLS,
    chunk_points: int = CHUNK_POINTS,
    device: torch.device | str = "cpu",
    on_query: OnQuery = lambda done, known: None,
) -> VolumeGrid:
    """Ask for every corner of a coarse grid and, on finer ones, near the surface.

    Parameters
    ----------
    level : float
        Where the surface is.
    coarsest_cells : int
        The coarsest grid has at least so many cells along each side.
    field, cells, chunk_points, device, on_query
        As in ``dense_grid``.
    """
    queries = PointQueries(field, chunk_points, torch.device(device), QueryCount(on_query))
    return _coarse_to_fine(queries, hierarchical_levels(cells, coarsest_cells), level)


def flash_grid(
    decoder: GeoDecoder,
    keys: GeoKeys,
    cells: int,
    *,
    choice: KeyChoice = KeyChoice.MEAN,
    level: float = 0.0,
    coarsest_cells: int = COARSEST_CELLS,
    chunk_points: int = CHUNK_POINTS,
    on_query: OnQuery = lambda done, known: None,
) -> VolumeGrid:
    """Do as ``hierarchical_grid``, and compare points with the keys that matter to their box.

    Parameters
    ----------
    decoder : GeoDecoder
    keys : GeoKeys
        Of one shape. Values are kept on their device.
    cells : int
        Wanted along each side; the grid has a little fewer: see ``flash_levels``.
    choice : KeyChoice
    level, coarsest_cells, chunk_points, on_query
        As in ``hierarchical_grid``.

    Source
    ------
    Lai et al., FlashVDM (2025).
    """
    queries = FlashQueries(decoder, keys, choice, chunk_points, QueryCount(on_query))
    return _coarse_to_fine(queries, flash_levels(cells, coarsest_cells), level)


def hierarchical_levels(cells: int, coarsest_cells: int = COARSEST_CELLS) -> list[int]:
    """List the cells along a side of each grid, the coarsest first.

    >>> hierarchical_levels(384), hierarchical_levels(256), hierarchical_levels(32)
    ([96, 192, 384], [64, 128, 256], [32])
    """
    levels = [cells]
    while levels[0] // 2 >= coarsest_cells:
        levels.insert(0, levels[0] // 2)
    return levels


def flash_levels(cells: int, coarsest_cells: int = COARSEST_CELLS) -> list[int]:
    """List the cells along a side of each grid: the first is cut into boxes, the next are doubled.

    >>> flash_levels(384), flash_levels(256)
    ([95, 190, 380], [63, 126, 252])
    """
    wanted = hierarchical_levels(cells, coarsest_cells)
    first = max(1, round(wanted[0] / FIRST_BOXES)) * FIRST_BOXES - 1
    return [first << number for number in range(len(wanted))]


def _coarse_to_fine(queries: _Queries, levels: list[int], level: float) -> VolumeGrid:
    values = queries.everywhere(levels[0])
    for cells in levels[1:]:
        asked = refined_corners(near_surface(values, level), cells, is_last=cells == levels[-1])
        flat = asked.flatten().nonzero().squeeze(1)
        values = torch.full(asked.shape, torch.nan, device=asked.device)
        values.view(-1)[flat] = queries.at(flat, cells)
    return VolumeGrid(values, levels[-1], queries.count.done)
