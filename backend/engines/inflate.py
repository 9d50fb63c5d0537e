"""Engine ``inflate``: a closed body blown up from the outline. It cannot see depth or back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backend.catalog import CutOutParams, ShapeMode
from backend.engines.built_in import BuiltIn
from backend.engines.shape_task import Shape, ShapeTask
from backend.meshes.close_up import close_up
from backend.meshes.floaters import without_crumbs
from backend.meshes.height_field import inflated, lathed, slab
from backend.meshes.inflation_surface import (
    luminance_relief,
    round_surface,
    sample_outline,
    slab_surface,
)
from backend.meshes.masks import Mask, clean, longest_side, thicken_thin
from backend.meshes.outline_kind import outline_kind, rectangle_fill
from backend.progress import StageProgress

THIN_CELLS = 1.8
MOST_CELLS = 320
# What is left of a ragged outline beside the body; an island that is meant has four times as much.
CRUMB_SHARE = 0.001
NOTICE = (
    "Built from the outline alone: the depth is guessed and the back was not seen. "
    "Round things come out well; furniture, buildings and vehicles do not."
)


class Inflate(BuiltIn):
    """Silhouette inflation: no weights, any machine."""

    name = "inflate"
    title = "Silhouette inflation (built in, no AI)"

    def cost_key(self, params: CutOutParams) -> str:
        """Cost by preset and grid."""
        return params.model_dump_json(include={"preset", "grid_resolution"})

    def run(self, batch: Sequence[ShapeTask], progress: StageProgress) -> list[Shape]:
        """Build a surface for every task; raises NoSurfaceFound."""
        steps = 3 * len(batch)
        results = []
        for index, task in enumerate(batch):
            results.append(_build(_bounded(task, progress), progress, 3 * index, steps))
        progress.step(steps, steps)
        return results


def _bounded(task: ShapeTask, progress: StageProgress) -> ShapeTask:
    """Take no finer grid than an outline is worth."""
    if task.resolution <= MOST_CELLS:
        return task
    progress.warn(f"A grid of {MOST_CELLS} cells was used: an outline shows no more.")
    return replace(task, resolution=MOST_CELLS)


def _build(task: ShapeTask, progress: StageProgress, done: int, steps: int) -> Shape:
    progress.step(done, steps)
    near = close_up(task.rgb, clean(task.mask), task.resolution)
    mask = _prepared(near.mask, task.resolution)
    mode = outline_kind(mask) if task.mode is ShapeMode.AUTO else task.mode
    height = task.depth_scale * _height(mask, mode)
    progress.step(done + 1, steps)
    relief = luminance_relief(near.rgb, mask, longest_side(mask))
    outline = sample_outline(mask, height, relief, task.resolution)
    progress.step(done + 2, steps)
    surface = slab_surface if mode is ShapeMode.SLAB else round_surface
    body = without_crumbs(surface(outline), CRUMB_SHARE).mesh
    return Shape(near.back_in_place(body), mode, NOTICE)


def _prepared(mask: Mask, resolution: int) -> Mask:
    """Widen strands that the grid would lose."""
    return thicken_thin(mask, THIN_CELLS * longest_side(mask) / resolution)


def _height(mask: Mask, mode: ShapeMode) -> NDArray[np.float64]:
    if mode is ShapeMode.LATHE:
        return lathed(mask)
    if mode is ShapeMode.SLAB:
        return slab(mask, rectangle_fill(mask)[1])
    return inflated(mask)
