"""Which corners of a grid are asked again when its cells are halved. Imports torch.

This is the published rule. ``backend.engines.grid_levels`` has another, which follows the surface
and loses no part of one that it has met; that one is what shapes are made with.
"""

from __future__ import annotations

import torch
from torch import Tensor

# The networks learn a distance cut off at 1: what is nearer to 0 than this lies near the surface.
BAND = 0.95
AXES = (0, 1, 2)


def near_surface(values: Tensor, level: float = 0.0, band: float = BAND) -> Tensor:
    """Mark corners beside which the sign changes, or whose own value is near to 0.

    Parameters
    ----------
    values : Tensor, shape (x, y, z) float32
        NaN where not asked.
    level : float
        Where the surface is.
    band : float
        What counts as near to 0.

    Returns
    -------
    Tensor, shape of ``values``, bool
        Never where not asked.
    """
    above = values - level
    marked = values.abs() < band
    is_asked = ~values.isnan()
    for axis in AXES:
        changes = (
            above.narrow(axis, 1, above.shape[axis] - 1).sign()
            != above.narrow(axis, 0, above.shape[axis] - 1).sign()
        )
        changes &= is_asked.narrow(axis, 1, changes.shape[axis])
        changes &= is_asked.narrow(axis, 0, changes.shape[axis])
        _after(marked, axis).logical_or_(changes)
        _before(marked, axis).logical_or_(changes)
    return marked & is_asked


def refined_corners(marked: Tensor, cells: int, is_last: bool) -> Tensor:
    """Carry marks over to a finer grid, and widen them.

    Parameters
    ----------
    marked : Tensor, shape (r + 1, r + 1, r + 1) bool
    cells : int
        Along each side of the finer grid: at least 2 r.
    is_last : bool
        Whether it is the finest.

    Returns
    -------
    Tensor, shape (cells + 1, cells + 1, cells + 1) bool
    """
    if not is_last:
        marked = dilated(marked)
    finer = torch.zeros((cells + 1,) * 3, dtype=torch.bool, device=marked.device)
    end = 2 * marked.shape[0] - 1
    finer[:end:2, :end:2, :end:2] = marked
    finer = dilated(finer)
    return dilated(finer) if is_last else finer


def dilated(marked: Tensor) -> Tensor:
    """Mark the 26 neighbours of marked corners too."""
    for axis in AXES:
        wider = marked.clone()
        _after(wider, axis).logical_or_(_before(marked, axis))
        _before(wider, axis).logical_or_(_after(marked, axis))
        marked = wider
    return marked


def _before(corners: Tensor, axis: int) -> Tensor:
    """All corners but the last along an axis."""
    return corners.narrow(axis, 0, corners.shape[axis] - 1)


def _after(corners: Tensor, axis: int) -> Tensor:
    """All corners but the first along an axis."""
    return corners.narrow(axis, 1, corners.shape[axis] - 1)
