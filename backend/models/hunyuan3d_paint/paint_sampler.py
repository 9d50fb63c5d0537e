"""Paints all views by following a network from noise. Imports torch and diffusers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from backend.models.hunyuan3d_paint.paint_config import PaintKind
from backend.models.hunyuan3d_paint.paint_savings import ALL_SAVINGS, PaintSavings
from backend.models.hunyuan3d_paint.paint_unet import PaintUnet
from backend.models.hunyuan3d_paint.schedules import PaintSchedule
from backend.models.hunyuan3d_paint.view_inputs import GuidanceRow, PreparedViews, ViewInputs

Ask = Callable[[Tensor, Tensor, PreparedViews], Tensor]
OnStep = Callable[[int, int], None]
Rows = Mapping[GuidanceRow, PreparedViews]


@torch.no_grad()
def prepared_rows(
    network: PaintUnet,
    views: ViewInputs,
    guidance: float | None,
    savings: PaintSavings = ALL_SAVINGS,
) -> Rows:
    """Prepare all rows that guidance takes, and none that it does not.

    Parameters
    ----------
    guidance : float or None
        None, for networks that were distilled, and 1 take no other row than the full one.
    """
    rows = [GuidanceRow.FULL]
    if guidance is not None and guidance != 1:
        rows.insert(0, GuidanceRow.BLANK)
        if network.config.kind is PaintKind.PBR and not savings.two_rows:
            rows.insert(1, GuidanceRow.REFERENCE)
    return {row: network.prepare(views, row, savings) for row in rows}


@torch.no_grad()
def paint(
    ask: Ask,
    schedule: PaintSchedule,
    noise: Tensor,
    rows: Rows,
    *,
    guidance: float | None,
    on_step: OnStep = lambda step, steps: None,
) -> Tensor:
    """Follow the velocity from noise to the latents of all views.

    Rows are asked one after the other: one of them alone keeps a GPU busy, and together they
    would take so many times the memory.

    Parameters
    ----------
    ask : callable
        A ``PaintUnet``, or what stands for it while it moves between memories.
    schedule : PaintSchedule
        A new one.
    noise : Tensor, shape (materials * views, 4, height, width)
        On the device of the weights.
    rows : mapping
        As ``prepared_rows`` made them for the same guidance.
    guidance : float or None
        Factor on the difference that the picture makes.
    on_step : callable
        Told the number of a step and how many there are, before it is made; what it raises is
        raised.

    Returns
    -------
    Tensor, shape of ``noise``, float32

    Source
    ------
    Ho and Salimans, Classifier-Free Diffusion Guidance (2022).
    """
    times = schedule.times.to(noise.device)
    latents = schedule.begin(noise)
    for step in range(len(times)):
        on_step(step, len(times))
        dtype = rows[GuidanceRow.FULL].maps.dtype
        given = schedule.asked(latents, step).to(dtype)
        time = times[step : step + 1]
        velocities = {row: ask(given, time, one).float() for row, one in rows.items()}
        latents = schedule.followed(latents, _guided(velocities, guidance), step)
    return latents


def _guided(velocities: Mapping[GuidanceRow, Tensor], guidance: float | None) -> Tensor:
    """Go beyond each row away from the one before, float32.

    With the same factor for both differences the row in the middle cancels.
    """
    full = velocities[GuidanceRow.FULL]
    blank = velocities.get(GuidanceRow.BLANK)
    if blank is None or guidance is None:
        return full
    reference = velocities.get(GuidanceRow.REFERENCE, full)
    return blank + guidance * (reference - blank) + guidance * (full - reference)
