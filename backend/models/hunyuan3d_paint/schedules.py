"""From noise to latents in the steps that the published models were made for.

Imports torch and diffusers.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import torch
from diffusers.schedulers.scheduling_euler_ancestral_discrete import (
    EulerAncestralDiscreteScheduler,
)
from diffusers.schedulers.scheduling_lcm import LCMScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
from torch import Tensor


class Solver(StrEnum):
    """How steps follow the velocity."""

    UNIPC = "unipc"
    EULER_ANCESTRAL = "euler-ancestral"
    LCM = "lcm"


PUBLISHED: Mapping[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
    "rescale_betas_zero_snr": True,
    "steps_offset": 1,
}
"""scheduler_config.json of the networks that paint, as far as it matters."""

PUBLISHED_DELIGHT: Mapping[str, Any] = {
    **PUBLISHED,
    "timestep_spacing": "leading",
    "rescale_betas_zero_snr": False,
}
"""That of the network that takes light out of pictures."""

LATENT_CHANNELS = 4
# Turbo was distilled on so many of the 1000 times; fewer steps take some of these.
LCM_TRAINED_STEPS = 30

_KINDS: Mapping[Solver, Any] = {
    Solver.UNIPC: UniPCMultistepScheduler,
    Solver.EULER_ANCESTRAL: EulerAncestralDiscreteScheduler,
    Solver.LCM: LCMScheduler,
}


class PaintSchedule:
    """One way from noise to latents; it remembers how far it has come.

    Parameters
    ----------
    solver : Solver
    steps : int
        At least 1; of LCM at most ``LCM_TRAINED_STEPS``.
    generator : torch.Generator
        On the CPU. What is drawn at steps is the same for every device.
    settings : mapping
        Of the scheduler; what is not in ``PUBLISHED`` is left out.

    Raises
    ------
    ValueError
        The steps are out of range.

    Source
    ------
    Zhao et al., UniPC (2023), of order 2; Karras et al., Elucidating the Design Space of
    Diffusion-Based Generative Models (2022); Luo et al., Latent Consistency Models (2023); the
    first step without any signal: Lin et al., Common Diffusion Noise Schedules and Sample Steps
    are Flawed (2023).
    """

    def __init__(
        self,
        solver: Solver,
        steps: int,
        generator: torch.Generator,
        settings: Mapping[str, Any] = PUBLISHED,
    ) -> None:
        most = LCM_TRAINED_STEPS if solver is Solver.LCM else PUBLISHED["num_train_timesteps"]
        if not 1 <= steps <= most:
            raise ValueError(f"{steps} steps; from 1 to {most} are possible")
        known = {name: settings.get(name, usual) for name, usual in PUBLISHED.items()}
        self._scheduler = _KINDS[solver].from_config(known)
        given = {"original_inference_steps": LCM_TRAINED_STEPS} if solver is Solver.LCM else {}
        self._scheduler.set_timesteps(steps, device="cpu", **given)
        self._scheduler.set_begin_index(0)
        # UniPC draws nothing and takes no generator.
        self._drawing = {} if solver is Solver.UNIPC else {"generator": generator}

    @property
    def times(self) -> Tensor:
        """When the network is asked, shape (steps,) float32 on the host."""
        times: Tensor = self._scheduler.timesteps
        return times.float()

    @property
    def sigmas(self) -> Tensor:
        """How noisy latents are before each step and at the end, shape (steps + 1,) float32."""
        sigmas: Tensor = self._scheduler.sigmas
        return sigmas

    def begin(self, noise: Tensor) -> Tensor:
        """Return the latents to start from: float32, as noisy as the first step expects."""
        begun: Tensor = noise.float() * self._scheduler.init_noise_sigma
        return begun

    def asked(self, latents: Tensor, step: int) -> Tensor:
        """Return what the network is given; steps come one after the other."""
        given: Tensor = self._scheduler.scale_model_input(latents, self._scheduler.timesteps[step])
        return given

    def followed(self, latents: Tensor, velocity: Tensor, step: int) -> Tensor:
        """Return the latents after a step, float32.

        Parameters
        ----------
        latents, velocity : Tensor, any equal shape, float32
        step : int
            The one that was asked for last.
        """
        after: Tensor = self._scheduler.step(
            velocity, self._scheduler.timesteps[step], latents, return_dict=False, **self._drawing
        )[0]
        return after


def initial_noise(generator: torch.Generator, images: int, height: int, width: int) -> Tensor:
    """Draw the noise to start from, on the CPU, so that every device starts from the same.

    Parameters
    ----------
    generator : torch.Generator
        On the CPU; the one that the schedule goes on drawing from.

    Returns
    -------
    Tensor, shape (images, 4, height, width) float32
    """
    return torch.randn(images, LATENT_CHANNELS, height, width, generator=generator)
