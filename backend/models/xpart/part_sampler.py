"""From noise to the latents of parts by following their denoiser. Imports torch."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from backend.choices import PartSolver
from backend.models.hunyuan3d.denoiser import Schedule
from backend.models.hunyuan3d.sampler import OnStep, initial_latents
from backend.models.hunyuan3d.schedules import euler_schedule
from backend.models.xpart.denoiser import PreparedParts
from backend.models.xpart.denoiser_config import PUBLISHED_PART_ROWS, PartDenoiserConfig

LOSSLESS_SOLVER = PartSolver.EULER
"""The published one; another follows other points and gives other parts."""

_CALLS = {PartSolver.EULER: 1, PartSolver.MIDPOINT: 2}


class CalledPartDenoiser(Protocol):
    """A ``PartDenoiser``, or one that is called another way: hosted, compiled or watched."""

    def __call__(self, latents: Tensor, prepared: PreparedParts, step: Tensor) -> Tensor:
        """Return the velocity; see ``PartDenoiser.forward``."""


def part_schedule(steps: int) -> Schedule:
    """Return when the denoiser is asked: evenly from 0 to 1, the last time at the data itself.

    Its last step has no length and is not made, so of n steps n - 1 are, and 1 of 1.

    Raises
    ------
    ValueError
        There is no step.
    """
    return euler_schedule(steps)


def call_times(schedule: Schedule, solver: PartSolver) -> Tensor:
    """Return the time of every call that ``sample_parts`` makes, in order.

    Returns
    -------
    Tensor, shape (calls,) float32
        On the host; what ``PartDenoiser.prepare`` is to be given.
    """
    made = schedule.steps != 0
    starts, lengths = schedule.times[made], schedule.steps[made]
    if solver is PartSolver.EULER:
        return starts
    return torch.stack([starts, starts + lengths / 2], dim=1).flatten()


def part_rows(seed: int, count: int, rows: int = PUBLISHED_PART_ROWS) -> Tensor:
    """Draw which row of the table tells each part from the others.

    The original draws anew at every step and fails beyond 50 parts. Here a part keeps its row for
    a whole request. Beyond as many parts as rows the same order starts over, so that parts which
    share a row are as far from each other in their order as can be; what tells those apart is
    what is seen of them, and their noise.

    Parameters
    ----------
    seed : int
        Of the request; the first rows do not depend on ``count``.

    Returns
    -------
    Tensor, shape (count,) int64
    """
    order = torch.randperm(rows, generator=torch.Generator("cpu").manual_seed(seed))
    return order[torch.arange(count) % rows]


def part_noise(
    seed: int,
    count: int,
    config: PartDenoiserConfig,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Draw the noise that parts start from, each with a generator of its own.

    Parameters
    ----------
    seed : int
        Of the request, not below 0; the noise of a part does not depend on ``count``.

    Returns
    -------
    Tensor, shape (count, tokens, latent_channels)
    """
    seeds = [
        int(np.random.SeedSequence([seed, part]).generate_state(1, np.uint64)[0] >> 1)
        for part in range(count)
    ]
    channels = config.trunk.latent_channels
    return initial_latents(seeds, config.tokens, channels, dtype, device)


@torch.no_grad()
def sample_parts(
    denoiser: CalledPartDenoiser,
    schedule: Schedule,
    latents: Tensor,
    prepared: PreparedParts,
    solver: PartSolver = LOSSLESS_SOLVER,
    on_step: OnStep = lambda index, steps: None,
) -> Tensor:
    """Follow the velocity from noise to data; the host never waits for the device.

    Parameters
    ----------
    schedule : Schedule
        On the host. Steps of no length are not made.
    latents : Tensor, shape (parts, tokens, latent_channels)
        Noise, in the dtype and on the device of the weights; what is added up is rounded to that
        dtype after each step, as published.
    prepared : PreparedParts
        For the times of ``call_times`` of the same schedule and solver.
    on_step : callable
        Told the index of a call and how many there will be, before it is made; what it raises is
        raised.

    Returns
    -------
    Tensor, shape and dtype of ``latents``

    Source
    ------
    Lipman et al., Flow Matching for Generative Modeling (2022); the midpoint method as in Hairer,
    Norsett and Wanner, Solving Ordinary Differential Equations I (1993), section II.1.
    """
    lengths = [length for length in schedule.steps.tolist() if length]
    calls = _CALLS[solver] * len(lengths)

    def velocity(at: Tensor, call: int) -> Tensor:
        on_step(call, calls)
        place = torch.full((1,), call, device=at.device)  # a number would be compiled in
        return denoiser(at, prepared, place)

    for step, length in enumerate(lengths):
        call = _CALLS[solver] * step
        way = velocity(latents, call)
        if solver is PartSolver.MIDPOINT:
            way = velocity(_moved(latents, way, length / 2), call + 1)
        latents = _moved(latents, way, length)
    return latents


def _moved(latents: Tensor, velocity: Tensor, length: float) -> Tensor:
    """Add up in float32."""
    return (latents.float() + length * velocity.float()).to(latents.dtype)
