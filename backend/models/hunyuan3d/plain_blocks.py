"""The block of the denoiser of Hunyuan3D 2.1, and what others share with it. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from backend.models.attention import Attend, heads_of, joined_heads
from backend.models.hunyuan3d.mixture_of_experts import MixtureOfExperts, Perceptron
from backend.models.hunyuan3d.plain_config import HeadNorm, PlainConfig

HEAD_NORM_EPSILON = 1e-6


@dataclass(frozen=True)
class ContextKeys:
    """What a cross-attention needs to know of a context.

    Parameters
    ----------
    keys, values : Tensor, shape (batch, heads, context_tokens, head_width)
    """

    keys: Tensor
    values: Tensor

    def items(self, few: slice) -> ContextKeys:
        """Return those of some items of the batch."""
        return ContextKeys(self.keys[few], self.values[few])


@dataclass(frozen=True)
class Conditions:
    """What one block is conditioned on.

    Parameters
    ----------
    keys : ContextKeys or None
        For the first part of the batch, as long as they are.
    blank : Tensor or None
        Answer of the cross-attention to a context of zeros, shape (width,), for the others.
    """

    keys: ContextKeys | None
    blank: Tensor | None


pytree.register_dataclass(ContextKeys)
pytree.register_dataclass(Conditions)


class SkipBlock(nn.Module):
    """The layers that blocks of this design share; a block decides in which order they run.

    Source
    ------
    Hunyuan3D 2.1: From Images to High-Fidelity 3D Assets with Production-Ready PBR Material
    (2025); skip connections as in Bao et al., All are Worth Words: A ViT Backbone for Diffusion
    Models (2022), but with the norm after the linear layer.
    """

    def __init__(self, config: PlainConfig, attend: Attend, number: int) -> None:
        super().__init__()
        width = config.width
        if config.takes_skip(number):
            self.skip_linear = nn.Linear(2 * width, width)
            self.skip_norm = layer_norm(config)
        self.norm1 = layer_norm(config)
        self.self_attention = SelfAttention(config, attend)
        self.norm2 = layer_norm(config)
        self.cross_attention = CrossAttention(config, attend)
        self.norm3 = layer_norm(config)
        self.perceptron = _perceptron(config, number)

    def joined(self, tokens: Tensor, skip: Tensor | None) -> Tensor:
        """Join what an earlier block has passed on, if it has, with the tokens of this one."""
        if skip is None:
            return tokens
        both: Tensor = self.skip_norm(self.skip_linear(torch.cat([skip, tokens], dim=-1)))
        return both

    def fed_forward(self, tokens: Tensor, sorted_experts: bool) -> Tensor:
        """Add what the perceptron makes of each token; ``sorted_experts``: ``MixtureOfExperts``."""
        normed = self.norm3(tokens)
        if isinstance(self.perceptron, MixtureOfExperts):
            changed: Tensor = self.perceptron(normed, sorted_experts)
        else:
            changed = self.perceptron(normed)
        return tokens + changed


class PlainBlock(SkipBlock):
    """Self-attention, cross-attention and a perceptron, after a skip connection for some."""

    def forward(
        self, tokens: Tensor, skip: Tensor | None, conditions: Conditions, sorted_experts: bool
    ) -> Tensor:
        """Return the tokens changed.

        Parameters
        ----------
        tokens : Tensor, shape (batch, tokens, width)
        skip : Tensor, same shape, optional
            What an earlier block has passed on.
        conditions : Conditions
        sorted_experts : bool
            See ``MixtureOfExperts``.
        """
        tokens = self.joined(tokens, skip)
        tokens = tokens + self.self_attention(self.norm1(tokens))
        tokens = self._look_at_context(tokens, conditions)
        return self.fed_forward(tokens, sorted_experts)

    def _look_at_context(self, tokens: Tensor, conditions: Conditions) -> Tensor:
        """Add the cross-attention, which is computed only where there is a context."""
        keys, blank = conditions.keys, conditions.blank
        if keys is None:
            return tokens if blank is None else tokens + blank
        if blank is None:
            seen: Tensor = self.cross_attention(self.norm2(tokens), keys)
            return tokens + seen
        first, others = tokens.tensor_split((keys.keys.shape[0],))
        first = first + self.cross_attention(self.norm2(first), keys)
        return torch.cat([first, others + blank])


class SelfAttention(nn.Module):
    """Attention between tokens, without positions."""

    def __init__(self, config: PlainConfig, attend: Attend) -> None:
        super().__init__()
        width = config.width
        self.qkv = nn.Linear(width, 3 * width, bias=config.has_qkv_bias)
        self.q_norm, self.k_norm = _head_norm(config), _head_norm(config)
        self.out = nn.Linear(width, width)
        self.heads = config.heads
        self.attend = attend

    def forward(self, tokens: Tensor) -> Tensor:
        """Return what is to be added to the tokens, (batch, tokens, width)."""
        q, k, v = (heads_of(part, self.heads) for part in self.qkv(tokens).chunk(3, dim=-1))
        seen: Tensor = self.out(joined_heads(self.attend(self.q_norm(q), self.k_norm(k), v)))
        return seen


class CrossAttention(nn.Module):
    """Attention from tokens to a context, which is taken as it is."""

    def __init__(self, config: PlainConfig, attend: Attend) -> None:
        super().__init__()
        width = config.width
        self.q = nn.Linear(width, width, bias=config.has_qkv_bias)
        self.kv = nn.Linear(config.context_channels, 2 * width, bias=config.has_qkv_bias)
        self.q_norm, self.k_norm = _head_norm(config), _head_norm(config)
        self.out = nn.Linear(width, width)
        self.heads = config.heads
        self.attend = attend

    def forward(self, tokens: Tensor, context: ContextKeys) -> Tensor:
        """Return what is to be added to the tokens, (batch, tokens, width)."""
        q = self.q_norm(heads_of(self.q(tokens), self.heads))
        seen: Tensor = self.out(joined_heads(self.attend(q, context.keys, context.values)))
        return seen

    def keys_of(self, context: Tensor) -> ContextKeys:
        """Compute what does not depend on the tokens.

        Parameters
        ----------
        context : Tensor, shape (batch, context_tokens, context_channels)

        Notes
        -----
        Both lie in memory of their own: to keep a slice of the projection would keep all of it.
        """
        keys, values = (heads_of(part, self.heads) for part in self.kv(context).chunk(2, dim=-1))
        return ContextKeys(self.k_norm(keys).contiguous(), values.contiguous())

    def answer_to_blank(self) -> Tensor:
        """Return what is to be added to every token if the context is zeros, shape (width,).

        Zeros give the same value at each place, which is the bias of the values, or zeros without
        one. Whatever the weights of the attention are, they add up to 1, so that value is what
        comes out, and neither queries nor keys matter.
        """
        if self.kv.bias is None:
            return self.out.bias
        answer: Tensor = self.out(self.kv.bias.chunk(2)[1])
        return answer


def _perceptron(config: PlainConfig, number: int) -> nn.Module:
    if config.has_experts(number):
        return MixtureOfExperts(
            config.width, config.mlp_width, config.experts, config.experts_per_token
        )
    return Perceptron(config.width, config.mlp_width)


def layer_norm(config: PlainConfig) -> nn.Module:
    """Return the norm over the width that all layers of this design use."""
    return nn.LayerNorm(config.width, eps=config.norm_epsilon)


def _head_norm(config: PlainConfig) -> nn.Module:
    match config.head_norm:
        case HeadNorm.NONE:
            return nn.Identity()
        case HeadNorm.RMS:
            return nn.RMSNorm(config.head_width, eps=HEAD_NORM_EPSILON)
        case HeadNorm.LAYER:
            return nn.LayerNorm(config.head_width, eps=HEAD_NORM_EPSILON)
