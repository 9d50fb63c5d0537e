"""The denoiser of Hunyuan3D 2.0, 2mini and 2mv. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from backend.models.attention import Attend, plain_attention
from backend.models.hunyuan3d.denoiser import row
from backend.models.hunyuan3d.flux_blocks import DoubleBlock, SingleBlock, modulated
from backend.models.hunyuan3d.flux_config import FluxConfig
from backend.models.hunyuan3d.flux_modulations import FluxModulations, FluxVectors
from backend.models.hunyuan3d.lone_token import key_raise
from backend.models.hunyuan3d.savings import ALL_SAVINGS, Savings


@dataclass(frozen=True)
class FluxConditioning:
    """What the steps of one schedule share.

    Parameters
    ----------
    context : Tensor, shape (batch, context_tokens, width or context_channels)
        Embedded if there are vectors.
    times, guidance : Tensor, shape (steps,) float32
        Guidance is None for networks that do not take it.
    vectors : FluxVectors or None
        Of every step; None if each step is to compute its own.
    raised : Tensor or None
        Given if the only context token stands for many; see ``lone_token``.
    """

    context: Tensor
    times: Tensor
    guidance: Tensor | None
    vectors: FluxVectors | None
    raised: Tensor | None = None


pytree.register_dataclass(FluxConditioning)


class FluxDenoiser(nn.Module):
    """Predicts the velocity from noise to data; a ``Denoiser``.

    Attributes
    ----------
    modulations : FluxModulations
        All that depends on time and guidance alone. With ``Savings.step_invariants`` only the
        ``prepare`` methods use it: between them it may lie on the host, and may run there.

    Source
    ------
    Zhao et al., Hunyuan3D 2.0 (2025): double and single stream blocks as in FLUX.1, without
    positions.
    """

    def __init__(self, config: FluxConfig, attend: Attend = plain_attention) -> None:
        super().__init__()
        self.latent_channels = config.latent_channels
        self.has_guidance_input = config.has_guidance_input
        self._head_width = config.head_width
        self.modulations = FluxModulations(config)
        self.latent_in = nn.Linear(config.latent_channels, config.width)
        self.cond_in = nn.Linear(config.context_channels, config.width)
        self.double_blocks = nn.ModuleList(
            DoubleBlock(config, attend) for _ in range(config.double_blocks)
        )
        self.single_blocks = nn.ModuleList(
            SingleBlock(config, attend) for _ in range(config.single_blocks)
        )
        self.final = nn.Linear(config.width, config.latent_channels)

    def prepare(
        self,
        context: Tensor,
        times: Tensor,
        guidance: float | None = None,
        savings: Savings = ALL_SAVINGS,
    ) -> FluxConditioning:
        """Compute what does not change from step to step.

        Parameters
        ----------
        context : Tensor, shape (batch, context_tokens, context_channels)
            In the dtype and on the device of the weights.
        times : Tensor, shape (steps,) float32
        guidance : float, optional
            Needed if, and only if, the network takes it as an input.

        Raises
        ------
        ValueError
            Guidance is missing, or there is no input for it.
        """
        self.modulations.check(guidance is not None)
        scales = None if guidance is None else torch.full_like(times, guidance)
        if not savings.step_invariants:
            return FluxConditioning(context, times, scales, None)
        vectors = self.modulations(times, scales).to(context)
        return FluxConditioning(self.cond_in(context), times, scales, vectors)

    def prepare_blank(
        self,
        context: Tensor,
        times: Tensor,
        guidance: float | None = None,
        savings: Savings = ALL_SAVINGS,
    ) -> FluxConditioning:
        """Do the same for a context of zeros in the shape of ``context``.

        With ``Savings.lone_blank_token`` one token of zeros stands for all of them.
        """
        if not savings.lone_blank_token:
            return self.prepare(torch.zeros_like(context), times, guidance, savings)
        lone = torch.zeros_like(context[:, :1])
        prepared = self.prepare(lone, times, guidance, savings)
        raised = key_raise(context.shape[1], self._head_width, context)
        return replace(prepared, raised=raised)

    def prepare_pair(
        self, context: Tensor, times: Tensor, savings: Savings = ALL_SAVINGS
    ) -> FluxConditioning:
        """Do both for one call with the batch twice over: first with context, then without.

        All rows of a batch have equally many tokens, so ``Savings.lone_blank_token`` does not
        apply here.
        """
        both = torch.cat([context, torch.zeros_like(context)])
        return self.prepare(both, times, savings=savings)

    def forward(
        self, latents: Tensor, conditioning: FluxConditioning, step: int | Tensor
    ) -> Tensor:
        """Return the velocity at a step of a prepared schedule.

        Parameters
        ----------
        latents : Tensor, shape (batch, latent_tokens, latent_channels)
            In the dtype of the weights.
        conditioning : FluxConditioning
            What one of the ``prepare`` methods returned.
        step : int or Tensor of shape (1,) int64
            Index into the times. A tensor lets one recorded CUDA graph serve every step.

        Returns
        -------
        Tensor, shape and dtype of ``latents``
        """
        if conditioning.vectors is not None:
            vectors = conditioning.vectors.at(step)
            return self._velocity(latents, conditioning.context, vectors, conditioning.raised)
        scales = conditioning.guidance
        scale = None if scales is None else row(scales, step)
        vectors = self.modulations(row(conditioning.times, step), scale)
        context = self.cond_in(conditioning.context)
        return self._velocity(latents, context, vectors, conditioning.raised)

    def velocity(
        self, latents: Tensor, times: Tensor, context: Tensor, guidance: Tensor | None = None
    ) -> Tensor:
        """Return the velocity where every row has its own time, with nothing prepared.

        Parameters
        ----------
        latents : Tensor, shape (batch, latent_tokens, latent_channels)
        times, guidance : Tensor, shape (batch,) float32
        context : Tensor, shape (batch, context_tokens, context_channels)

        Raises
        ------
        ValueError
            Guidance is missing, or there is no input for it.
        """
        vectors = self.modulations(times, guidance)
        return self._velocity(latents, self.cond_in(context), vectors, None)

    def _velocity(
        self, latents: Tensor, context: Tensor, vectors: FluxVectors, raised: Tensor | None
    ) -> Tensor:
        hidden = self.latent_in(latents)
        pairs = zip(self.double_blocks, vectors.latents, vectors.context, strict=True)
        for double, latent_vectors, context_vectors in pairs:
            hidden, context = double(hidden, context, latent_vectors, context_vectors, raised)
        joint = torch.cat([context, hidden], dim=1)
        for single, joint_vectors in zip(self.single_blocks, vectors.joint, strict=True):
            joint = single(joint, joint_vectors, raised)
        shift, scale = vectors.final[:, None].chunk(2, dim=-1)
        result: Tensor = self.final(modulated(joint[:, context.shape[1] :], shift, scale))
        return result
