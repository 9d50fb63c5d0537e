"""From noise to a shape's latents by following a denoiser. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from backend.models.hunyuan3d.denoiser import Denoiser, Schedule
from backend.models.hunyuan3d.savings import ALL_SAVINGS, Savings

OnStep = Callable[[int, int], None]


@dataclass(frozen=True)
class Guidance:
    """How much more the context counts than it was trained to.

    Parameters
    ----------
    scale : float or None
        Factor on the difference that the context makes. Below 0 or None: the context counts as
        it was trained to, and no pass is made without it. 1 has the same result for two passes.
    joint : bool
        One call with the batch twice over in place of two; takes more memory and, while the
        device is not busy with one of them, less time.
    until : float
        Share of the steps, from 0 to 1, that is guided by a second pass. Below 1 the result is
        another one.
    """

    scale: float | None = 5.0
    joint: bool = False
    until: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.until <= 1:
            raise ValueError(f"guided until {self.until}; from 0 to 1 is possible")

    @property
    def wanted_scale(self) -> float | None:
        """The scale if there is to be any guidance."""
        return None if self.scale is None or self.scale < 0 else self.scale


def initial_latents(
    seeds: Sequence[int],
    tokens: int,
    channels: int,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Draw the noise to start from.

    Each item has a generator of its own, so that its noise does not depend on the batch it is
    in. Numbers are drawn in float32 on the CPU, so that every device starts from the same. The
    original draws them in float16 on its device: there the same seed gives another shape.

    Parameters
    ----------
    seeds : sequence of int
        One per item.

    Returns
    -------
    Tensor, shape (len(seeds), tokens, channels)
    """
    drawn = [
        torch.randn(tokens, channels, generator=torch.Generator("cpu").manual_seed(seed))
        for seed in seeds
    ]
    return torch.stack(drawn).to(device=device, dtype=dtype)


@torch.no_grad()
def sample(
    denoiser: Denoiser,
    schedule: Schedule,
    latents: Tensor,
    context: Tensor,
    *,
    guidance: Guidance,
    savings: Savings = ALL_SAVINGS,
    on_step: OnStep = lambda index, steps: None,
) -> Tensor:
    """Follow the velocity from noise to data in straight steps.

    The host never waits for the device between the steps.

    Parameters
    ----------
    schedule : Schedule
        On the host.
    latents : Tensor, shape (batch, latent_tokens, latent_channels)
        Noise, in the dtype and on the device of the weights.
    context : Tensor, shape (batch, context_tokens, context_channels)
        In the dtype and on the device of the weights.
    guidance : Guidance
        A network that takes guidance as an input makes one pass per step in any case.
    savings : Savings
        Passed on to the denoiser; with ``last_step`` no call is made for a step of no length.
    on_step : callable
        Told the index of a step and how many there will be, counting those that are made,
        before it is made; what it raises is raised.

    Returns
    -------
    Tensor, shape and dtype of ``latents``

    Raises
    ------
    ValueError
        The network needs a guidance scale and there is none.

    Source
    ------
    Lipman et al., Flow Matching for Generative Modeling (2022); Ho and Salimans, Classifier-Free
    Diffusion Guidance (2022).
    """
    lengths = schedule.steps.tolist()
    made = [index for index, length in enumerate(lengths) if length or not savings.last_step]
    times = schedule.times[made].to(latents.device)
    guided_steps = _guided_steps(denoiser, guidance, len(made))
    prepared = _prepared(denoiser, context, times, guidance, guided_steps, savings)
    for step, index in enumerate(made):
        on_step(step, len(made))
        place = torch.full((1,), step, device=latents.device)  # a number would be compiled in
        if step < guided_steps:
            velocity = _guided_velocity(denoiser, latents, prepared, place, guidance)
        else:
            velocity = denoiser(latents, prepared.given, place).float()
        latents = (latents.float() + lengths[index] * velocity).to(latents.dtype)
    return latents


def _guided_steps(denoiser: Denoiser, guidance: Guidance, steps: int) -> int:
    """Steps, from the first on, that need a pass without context."""
    if denoiser.has_guidance_input:
        if guidance.wanted_scale is None:
            raise ValueError("this network takes guidance as an input; a scale is needed")
        return 0
    return 0 if guidance.wanted_scale is None else round(guidance.until * steps)


@dataclass(frozen=True)
class _Prepared:
    """What the steps share; None where no step needs it."""

    given: Any = None
    blank: Any = None
    both: Any = None


def _prepared(
    denoiser: Denoiser,
    context: Tensor,
    times: Tensor,
    guidance: Guidance,
    guided_steps: int,
    savings: Savings,
) -> _Prepared:
    """Compute what the steps share, and nothing that none of them needs."""
    if denoiser.has_guidance_input:
        return _Prepared(denoiser.prepare(context, times, guidance.wanted_scale, savings))
    is_joint = guidance.joint and guided_steps > 0
    is_paired = not guidance.joint and guided_steps > 0
    is_alone = is_paired or guided_steps < len(times)
    return _Prepared(
        given=denoiser.prepare(context, times, None, savings) if is_alone else None,
        blank=denoiser.prepare_blank(context, times, None, savings) if is_paired else None,
        both=denoiser.prepare_pair(context, times, savings) if is_joint else None,
    )


def _guided_velocity(
    denoiser: Denoiser, latents: Tensor, prepared: _Prepared, step: Tensor, guidance: Guidance
) -> Tensor:
    """Go beyond the velocity with context, away from that without; float32."""
    if guidance.joint:
        velocities = denoiser(torch.cat([latents, latents]), prepared.both, step).float()
        with_context, without = velocities.chunk(2)
    else:
        with_context = denoiser(latents, prepared.given, step).float()
        without = denoiser(latents, prepared.blank, step).float()
    return without + (guidance.wanted_scale or 0.0) * (with_context - without)
