"""The seam between samplers and denoisers. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from backend.models.hunyuan3d.savings import ALL_SAVINGS, Savings


@dataclass(frozen=True)
class Schedule:
    """When a denoiser is asked.

    Parameters
    ----------
    sigmas : Tensor, shape (steps + 1,) float32
        From 0, which is noise, to 1, which is data.
    """

    sigmas: Tensor

    @property
    def times(self) -> Tensor:
        """Time of each call, shape (steps,) float32."""
        return self.sigmas[:-1]

    @property
    def steps(self) -> Tensor:
        """Length of each step, shape (steps,) float32."""
        return self.sigmas.diff()


class Denoiser(Protocol):
    """A network that predicts the velocity from noise to data; a pure ``nn.Module``.

    What it is conditioned on is prepared once: ``prepare`` returns all that the steps share.
    """

    latent_channels: int
    has_guidance_input: bool
    """Whether guidance is an input of the network instead of a second, unconditional pass."""

    def prepare(
        self,
        context: Tensor,
        times: Tensor,
        guidance: float | None = None,
        savings: Savings = ALL_SAVINGS,
    ) -> Any:
        """Compute what does not change from step to step.

        Parameters
        ----------
        context : Tensor, shape (batch, context_tokens, context_channels)
            In the dtype and on the device of the weights.
        times : Tensor, shape (steps,) float32
            Of every call to come, from 0 (noise) to 1 (data).
        guidance : float, optional
            For networks that take it as an input.
        """

    def prepare_blank(
        self,
        context: Tensor,
        times: Tensor,
        guidance: float | None = None,
        savings: Savings = ALL_SAVINGS,
    ) -> Any:
        """Do the same for a context of zeros in the shape of ``context``."""

    def prepare_pair(self, context: Tensor, times: Tensor, savings: Savings = ALL_SAVINGS) -> Any:
        """Do both for one call with the batch twice over: first with context, then without."""

    def __call__(self, latents: Tensor, conditioning: Any, step: int | Tensor) -> Tensor:
        """Return the velocity.

        Parameters
        ----------
        latents : Tensor, shape (batch, latent_tokens, latent_channels)
            In the dtype of the weights.
        conditioning : object
            What one of the ``prepare`` methods returned.
        step : int or Tensor of shape (1,) int64
            Index into the times. A tensor lets compiled code, and one recorded CUDA graph, serve
            every step.

        Returns
        -------
        Tensor, shape and dtype of ``latents``
        """


def row(table: Tensor, step: int | Tensor) -> Tensor:
    """Return one row of a table as a table of one row, without asking the device for ``step``.

    Parameters
    ----------
    table : Tensor, shape (rows, ...)
    step : int or Tensor of shape (1,) int64
        A tensor lets one recorded CUDA graph serve every step.
    """
    if isinstance(step, Tensor):
        return table.index_select(0, step)
    return table.narrow(0, step, 1)
