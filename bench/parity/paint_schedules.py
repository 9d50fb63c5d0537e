"""Checks recorded ways from noise to latents, followed with a network made of one matrix."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from torch import Tensor

from backend.models.hunyuan3d_paint.schedules import PaintSchedule, Solver
from bench.parity.comparison import Comparison, compared
from bench.parity.golden_folder import GoldenFile

TOLERANCE = 1e-4
SIGMA_SHARE = 1e-6  # the first is 4,096: one unit in its last place is 2.4e-4
SEED = 1
TIME_SCALE = 500.0
SOLVERS = {"unipc": Solver.UNIPC, "euler": Solver.EULER_ANCESTRAL, "lcm": Solver.LCM}
_WAY = re.compile(r"(unipc|euler|lcm)(?:_a)?(\d+)")
_PART = re.compile(r"(unipc|euler|lcm)(?:_a)?_(t|sigmas)")


def is_paint_schedules(file: GoldenFile) -> bool:
    """Whether a file holds ways from noise to latents."""
    return file.has("x0") and file.has("W")


def paint_schedule_comparisons(file: GoldenFile) -> Iterator[Comparison]:
    """Compare times, noise levels and where the way ends."""
    for name in sorted(file.recorded):
        line, expected = f"{file.name} {name}", file.tensors[name]
        if found := _WAY.fullmatch(name):
            ended = _followed(file, SOLVERS[found[1]], int(found[2]))
            yield compared(line, ended, expected, TOLERANCE)
        elif found := _PART.fullmatch(name):
            is_times = found[2] == "t"
            schedule = _schedule(SOLVERS[found[1]], len(expected) - (not is_times))
            made = schedule.times if is_times else schedule.sigmas
            exact = (0.0, "", 0.0) if is_times else (TOLERANCE, "", SIGMA_SHARE)
            yield compared(line, made, expected, *exact)


def _schedule(solver: Solver, steps: int) -> PaintSchedule:
    return PaintSchedule(solver, steps, torch.Generator().manual_seed(SEED))


def _followed(file: GoldenFile, solver: Solver, steps: int) -> Tensor:
    """Follow the network whose answer is recorded: channels mixed, and less with the time."""
    schedule = _schedule(solver, steps)
    latents = schedule.begin(file.tensors["x0"])
    for step, time in enumerate(schedule.times):
        asked = schedule.asked(latents, step)
        mixed = torch.einsum("ab,nbhw->nahw", file.tensors["W"], asked)
        latents = schedule.followed(latents, mixed * torch.cos(time / TIME_SCALE), step)
    return latents
