"""The denoiser of Hunyuan3D 2.1, and of others of the same design. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from backend.models.attention import Attend, plain_attention
from backend.models.hunyuan3d.denoiser import row
from backend.models.hunyuan3d.plain_blocks import Conditions, PlainBlock
from backend.models.hunyuan3d.plain_config import PlainConfig
from backend.models.hunyuan3d.savings import ALL_SAVINGS, Savings
from backend.models.hunyuan3d.time_token_transformer import TimeTokenTransformer


@dataclass(frozen=True)
class Prepared:
    """What the calls of one schedule share; made by the ``prepare`` methods of the denoiser.

    Parameters
    ----------
    times : Tensor, shape (steps,) float32
    time_tokens : Tensor or None
        Shape (steps, width); computed at each step if absent.
    context : Tensor or None
        Shape (batch, context_tokens, context_channels). None if nothing has a context.
    ends_blank : bool
        Whether what follows in the batch after those with a context has one of zeros.
    conditions : tuple of Conditions, optional
        For each block; computed at each step if absent.
    sorted_experts : bool
    """

    times: Tensor
    time_tokens: Tensor | None
    context: Tensor | None
    ends_blank: bool
    conditions: tuple[Conditions, ...] | None
    sorted_experts: bool


pytree.register_dataclass(Prepared)


class PlainDenoiser(TimeTokenTransformer):
    """A transformer in which time is a token; fulfils ``denoiser.Denoiser``.

    Source
    ------
    Hunyuan3D 2.1: From Images to High-Fidelity 3D Assets with Production-Ready PBR Material
    (2025).
    """

    has_guidance_input = False

    def __init__(self, config: PlainConfig, attend: Attend = plain_attention) -> None:
        super().__init__(config, partial(PlainBlock, config, attend))
        self.config = config

    def forward(self, latents: Tensor, conditioning: Prepared, step: int | Tensor) -> Tensor:
        """Return the velocity at a step of a prepared schedule.

        Parameters
        ----------
        latents : Tensor, shape (batch, latent_tokens, latent_channels)
            In the dtype of the weights; twice the batch for a pair.
        conditioning : Prepared
        step : int or Tensor of shape (1,) int64
            Index into the times. A tensor lets one recorded CUDA graph serve every step.

        Returns
        -------
        Tensor, shape and dtype of ``latents``
        """
        if conditioning.time_tokens is None:
            time_token = self.embed_times(row(conditioning.times, step))
        else:
            time_token = row(conditioning.time_tokens, step)
        conditions = conditioning.conditions
        if conditions is None:
            conditions = self._conditions(conditioning.context, conditioning.ends_blank)
        return self._answer(latents, time_token, conditions, conditioning.sorted_experts)

    def velocity(self, latents: Tensor, times: Tensor, context: Tensor) -> Tensor:
        """Return the velocity with nothing prepared, as papers write it.

        Parameters
        ----------
        latents : Tensor, shape (batch, latent_tokens, latent_channels)
        times : Tensor, shape (batch,) float32
            From 0 (noise) to 1 (data).
        context : Tensor, shape (batch, context_tokens, context_channels)
        """
        time_tokens = self.embed_times(times)[:, None]
        return self._answer(latents, time_tokens, self._conditions(context, False), False)

    def prepare(
        self,
        context: Tensor,
        times: Tensor,
        guidance: float | None = None,
        savings: Savings = ALL_SAVINGS,
    ) -> Prepared:
        """Compute what does not change from step to step; ``guidance`` is not used."""
        return self._prepared(context, False, times, savings)

    def prepare_blank(
        self,
        context: Tensor,
        times: Tensor,
        guidance: float | None = None,
        savings: Savings = ALL_SAVINGS,
    ) -> Prepared:
        """Do the same for a context of zeros; ``guidance`` is not used."""
        if savings.blank_cross_attention:
            return self._prepared(None, True, times, savings)
        return self._prepared(torch.zeros_like(context), False, times, savings)

    def prepare_pair(
        self, context: Tensor, times: Tensor, savings: Savings = ALL_SAVINGS
    ) -> Prepared:
        """Do both for one call with the batch twice over: first with context, then without."""
        if savings.blank_cross_attention:
            return self._prepared(context, True, times, savings)
        both = torch.cat([context, torch.zeros_like(context)])
        return self._prepared(both, False, times, savings)

    def _prepared(
        self, context: Tensor | None, ends_blank: bool, times: Tensor, savings: Savings
    ) -> Prepared:
        once = savings.step_invariants
        return Prepared(
            times=times,
            time_tokens=self.embed_times(times) if once else None,
            context=None if once else context,
            ends_blank=ends_blank,
            conditions=self._conditions(context, ends_blank) if once else None,
            sorted_experts=savings.sorted_experts,
        )

    def _conditions(self, context: Tensor | None, ends_blank: bool) -> tuple[Conditions, ...]:
        attentions = [cast("PlainBlock", block).cross_attention for block in self.blocks]
        return tuple(
            Conditions(
                keys=None if context is None else attention.keys_of(context),
                blank=attention.answer_to_blank() if ends_blank else None,
            )
            for attention in attentions
        )

    def _answer(
        self,
        latents: Tensor,
        time_tokens: Tensor,
        conditions: tuple[Conditions, ...],
        sorted_experts: bool,
    ) -> Tensor:
        given = [(condition, sorted_experts) for condition in conditions]
        return self._velocity(self.latent_in(latents), time_tokens, given)
