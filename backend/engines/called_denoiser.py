"""A denoiser called another way: hosted, compiled or watched. Imports torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from backend.models.hunyuan3d.denoiser import Denoiser


class CalledDenoiser:
    """A ``Denoiser`` whose preparations run as they are and whose calls run through another.

    Parameters
    ----------
    network : Denoiser
    call : callable
        Takes what the network takes.
    """

    def __init__(self, network: Denoiser, call: Callable[..., Any]) -> None:
        self.latent_channels = network.latent_channels
        self.has_guidance_input = network.has_guidance_input
        self.prepare = network.prepare
        self.prepare_blank = network.prepare_blank
        self.prepare_pair = network.prepare_pair
        self._call = call

    def __call__(self, latents: Tensor, conditioning: Any, step: int | Tensor) -> Tensor:
        """Return the velocity; see ``Denoiser``."""
        velocity: Tensor = self._call(latents, conditioning, step)
        return velocity
