"""The two kinds of blocks of the denoiser of Hunyuan3D 2.0. Imports torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.models.attention import Attend, joined_heads
from backend.models.hunyuan3d.flux_config import FluxConfig
from backend.models.hunyuan3d.lone_token import attend_raised

NORM_EPSILON = 1e-6


class DoubleBlock(nn.Module):
    """Latents and context with weights of their own, which meet in one attention.

    Source
    ------
    Esser et al., Scaling Rectified Flow Transformers for High-Resolution Image Synthesis (2024),
    figure 2b.
    """

    def __init__(self, config: FluxConfig, attend: Attend) -> None:
        super().__init__()
        self.latents = Stream(config)
        self.context = Stream(config)
        self.attend = attend

    def forward(
        self,
        latents: Tensor,
        context: Tensor,
        latent_vectors: Tensor,
        context_vectors: Tensor,
        raised: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Return both streams changed.

        Parameters
        ----------
        latents : Tensor, shape (batch, latent_tokens, width)
        context : Tensor, shape (batch, context_tokens, width)
        latent_vectors, context_vectors : Tensor, shape (batch or 1, 6 * width)
        raised : Tensor, shape (8,), optional
            Given if the only context token stands for many; see ``lone_token``.
        """
        on_latents = latent_vectors[:, None].chunk(6, dim=-1)
        on_context = context_vectors[:, None].chunk(6, dim=-1)
        heads = zip(
            self.context.heads(context, *on_context[:2]),
            self.latents.heads(latents, *on_latents[:2]),
            strict=True,
        )
        q, k, v = (torch.cat(pair, dim=2) for pair in heads)
        mixed = joined_heads(_attention(self.attend, q, k, v, raised))
        tokens = context.shape[1]
        context = self.context.update(context, mixed[:, :tokens], *on_context[2:])
        latents = self.latents.update(latents, mixed[:, tokens:], *on_latents[2:])
        return latents, context


class Stream(nn.Module):
    """The weights of one side of a double block."""

    def __init__(self, config: FluxConfig) -> None:
        super().__init__()
        width = config.width
        self.qkv = nn.Linear(width, 3 * width, bias=config.has_qkv_bias)
        self.norm = HeadNorms(config)
        self.proj = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, config.mlp_width),
            nn.GELU(approximate="tanh"),
            nn.Linear(config.mlp_width, width),
        )

    def heads(self, tokens: Tensor, shift: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values, each (batch, heads, tokens, head_width)."""
        heads: tuple[Tensor, Tensor, Tensor] = self.norm(self.qkv(modulated(tokens, shift, scale)))
        return heads

    def update(
        self,
        tokens: Tensor,
        mixed: Tensor,
        gate: Tensor,
        mlp_shift: Tensor,
        mlp_scale: Tensor,
        mlp_gate: Tensor,
    ) -> Tensor:
        """Add the result of the attention, then that of the perceptron."""
        tokens = torch.addcmul(tokens, gate, self.proj(mixed))
        return torch.addcmul(tokens, mlp_gate, self.mlp(modulated(tokens, mlp_shift, mlp_scale)))


class SingleBlock(nn.Module):
    """Latents and context as one sequence; attention and perceptron side by side.

    Source
    ------
    Dehghani et al., Scaling Vision Transformers to 22 Billion Parameters (2023), section 2,
    parallel layers.
    """

    def __init__(self, config: FluxConfig, attend: Attend) -> None:
        super().__init__()
        width, mlp_width = config.width, config.mlp_width
        self.linear1 = nn.Linear(width, 3 * width + mlp_width)
        self.norm = HeadNorms(config)
        self.linear2 = nn.Linear(width + mlp_width, width)
        self.attend = attend
        self._parts = [3 * width, mlp_width]

    def forward(self, tokens: Tensor, vectors: Tensor, raised: Tensor | None) -> Tensor:
        """Return the sequence changed.

        Parameters
        ----------
        tokens : Tensor, shape (batch, context_tokens + latent_tokens, width)
        vectors : Tensor, shape (batch or 1, 3 * width)
        raised : Tensor, shape (8,), optional
            Given if the only context token stands for many; see ``lone_token``.
        """
        shift, scale, gate = vectors[:, None].chunk(3, dim=-1)
        qkv, hidden = self.linear1(modulated(tokens, shift, scale)).split(self._parts, dim=-1)
        q, k, v = self.norm(qkv)
        mixed = joined_heads(_attention(self.attend, q, k, v, raised))
        active = functional.gelu(hidden, approximate="tanh")
        return torch.addcmul(tokens, gate, self.linear2(torch.cat([mixed, active], dim=-1)))


class HeadNorms(nn.Module):
    """Splits fused queries, keys and values into heads and normalises the first two.

    Source
    ------
    Zhang, Sennrich: Root Mean Square Layer Normalization (2019), equation 4.
    """

    def __init__(self, config: FluxConfig) -> None:
        super().__init__()
        self.query_scale = nn.Parameter(torch.ones(config.head_width))
        self.key_scale = nn.Parameter(torch.ones(config.head_width))
        self._heads = config.heads

    def forward(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values.

        Parameters
        ----------
        qkv : Tensor, shape (batch, tokens, 3 * width)
            All queries, then all keys, then all values.

        Returns
        -------
        tuple of Tensor, each of shape (batch, heads, tokens, head_width)
        """
        q, k, v = qkv.unflatten(-1, (3, self._heads, -1)).permute(2, 0, 3, 1, 4)
        return _unit_rms(q, self.query_scale), _unit_rms(k, self.key_scale), v


def modulated(tokens: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Normalise each token, then scale and shift it."""
    normed = functional.layer_norm(tokens, tokens.shape[-1:], eps=NORM_EPSILON)
    return torch.addcmul(shift, normed, 1 + scale)


def _attention(attend: Attend, q: Tensor, k: Tensor, v: Tensor, raised: Tensor | None) -> Tensor:
    if raised is None:
        return attend(q, k, v)
    return attend_raised(attend, q, k, v, raised)


def _unit_rms(heads: Tensor, scale: Tensor) -> Tensor:
    """Divide by the root mean square in float32, whatever the dtype, as torch does by itself."""
    return functional.rms_norm(heads, heads.shape[-1:], scale, NORM_EPSILON)
