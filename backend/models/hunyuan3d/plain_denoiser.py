"""The denoiser of Hunyuan3D 2.1, and of others of the same design. Imports torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from backend.models.attention import Attend, plain_attention
from backend.models.hunyuan3d.denoiser import row
from backend.models.hunyuan3d.mixture_of_experts import Perceptron
from backend.models.hunyuan3d.plain_blocks import Conditions, PlainBlock
from backend.models.hunyuan3d.plain_config import PlainConfig
from backend.models.hunyuan3d.savings import ALL_SAVINGS, Savings

LONGEST_PERIOD = 10_000.0


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


class PlainDenoiser(nn.Module):
    """A transformer in which time is a token; fulfils ``denoiser.Denoiser``.

    Source
    ------
    Hunyuan3D 2.1: From Images to High-Fidelity 3D Assets with Production-Ready PBR Material
    (2025).
    """

    has_guidance_input = False

    def __init__(self, config: PlainConfig, attend: Attend = plain_attention) -> None:
        super().__init__()
        self.config = config
        self.latent_channels = config.latent_channels
        self.time_in = Perceptron(config.width, config.mlp_width)
        self.latent_in = nn.Linear(config.latent_channels, config.width)
        self.blocks = nn.ModuleList(
            PlainBlock(config, attend, number) for number in range(config.depth)
        )
        self.norm_out = nn.LayerNorm(config.width, eps=config.norm_epsilon)
        self.out = nn.Linear(config.width, config.latent_channels)

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
        return self._velocity(latents, time_token, conditions, conditioning.sorted_experts)

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
        return self._velocity(latents, time_tokens, self._conditions(context, False), False)

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

    def embed_times(self, times: Tensor) -> Tensor:
        """Turn times into tokens.

        Parameters
        ----------
        times : Tensor, shape (count,) float32
            From 0 (noise) to 1 (data).

        Returns
        -------
        Tensor, shape (count, width)
            In the dtype of the weights. What comes before the first layer is float32: half
            precision would move the phase of the sinusoids.
        """
        first, last = self.config.time_of_noise, self.config.time_of_data
        waves = sinusoids(first + (last - first) * times.float(), self.config.width)
        tokens: Tensor = self.time_in(waves.to(self.time_in.up.weight.dtype))
        return tokens

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

    def _velocity(
        self,
        latents: Tensor,
        time_tokens: Tensor,
        conditions: tuple[Conditions, ...],
        sorted_experts: bool,
    ) -> Tensor:
        """Run the blocks on time tokens, shape (1, width) or (batch, 1, width), and latents."""
        time_tokens = time_tokens.expand(latents.shape[0], 1, -1)
        tokens = torch.cat([time_tokens, self.latent_in(latents)], dim=1)
        passed_on: list[Tensor] = []
        for number, block in enumerate(self.blocks):
            skip = passed_on.pop() if self.config.takes_skip(number) else None
            tokens = block(tokens, skip, conditions[number], sorted_experts)
            if self.config.passes_on(number):
                passed_on.append(tokens)
        predicted: Tensor = self.out(self.norm_out(tokens[:, 1:]))
        return predicted if self.config.velocity_sign > 0 else -predicted


def sinusoids(values: Tensor, width: int) -> Tensor:
    """Return sines and then cosines of values at frequencies that fall off geometrically.

    Parameters
    ----------
    values : Tensor, shape (count,) float32
    width : int
        Even.

    Returns
    -------
    Tensor, shape (count, width) float32

    Source
    ------
    Vaswani et al., Attention Is All You Need (2017), section 3.5.
    """
    half = width // 2
    numbers = torch.arange(half, dtype=torch.float32, device=values.device)
    angles = values[:, None] * torch.exp(numbers * (-math.log(LONGEST_PERIOD) / half))
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
