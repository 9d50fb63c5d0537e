"""The published way to find the values of a part on a grid. Imports torch.

It is here to compare with. What parts are made with is ``backend.engines.part_decode``, which
looks into the part's own box alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from backend.models.hunyuan3d.near_surface import BAND, dilated, near_surface
from backend.models.hunyuan3d.volume_decoding import VolumeGrid, hierarchical_levels
from backend.models.hunyuan3d.volume_queries import Field, OnQuery, PointQueries, QueryCount

PUBLISHED_LEVEL = -1 / 512
"""Where the surface is; more is inside."""
CHUNK_POINTS = 400_000
COARSEST_CELLS = 95
_BAND_CELLS = 512
_MOST_WIDENED_CELLS = 510


def published_part_grid(
    field: Field,
    cells: int,
    *,
    chunk_points: int = CHUNK_POINTS,
    device: torch.device | str = "cpu",
    on_query: OnQuery = lambda done, known: None,
) -> VolumeGrid:
    """Ask for every corner of a coarse grid of the whole cube and, on finer ones, near the surface.

    Parameters
    ----------
    field : callable
        Takes points, shape (n, 3) float32, and returns n values.
    cells : int
        Along each side. 512 has grids of 128, 256 and 512 cells.
    chunk_points : int
        Most points of a call.
    device : torch.device or str
        Where points are made and values kept.
    on_query : callable
        Told before each call how many queries are done, and how many are known to be needed so
        far.

    Returns
    -------
    VolumeGrid
        Values rounded to float16. Places of the first grid are rounded to float16 too.

    Source
    ------
    Yan et al., X-Part (2025): the decoding of its release.
    """
    count = QueryCount(on_query)
    where = torch.device(device)
    first = PointQueries(lambda points: field(points.half().float()), chunk_points, where, count)
    finer = PointQueries(field, chunk_points, where, count)
    levels = hierarchical_levels(cells, COARSEST_CELLS)
    values = first.everywhere(levels[0]).half().float()
    for level in levels[1:]:
        flat = _asked_corners(values, level).flatten().nonzero().squeeze(1)
        values = torch.full((level + 1,) * 3, torch.nan, device=values.device)
        values.view(-1)[flat] = finer.at(flat, level).half().float()
    return VolumeGrid(values, levels[-1], count.done)


def _asked_corners(values: Tensor, cells: int) -> Tensor:
    """Mark corners of the next grid that are asked, shape (cells + 1,) * 3 bool."""
    band = min(BAND, BAND * _BAND_CELLS / cells)
    marked = near_surface(values, -PUBLISHED_LEVEL, band)
    if cells <= _MOST_WIDENED_CELLS:
        marked = dilated(marked)
    finer = torch.zeros((cells + 1,) * 3, dtype=torch.bool, device=values.device)
    end = 2 * marked.shape[0] - 1
    finer[:end:2, :end:2, :end:2] = marked
    return dilated(finer)
