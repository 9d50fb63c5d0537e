"""The block of the denoiser of X-Part. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from backend.models.attention import Attend
from backend.models.hunyuan3d.plain_blocks import (
    ContextKeys,
    CrossAttention,
    SkipBlock,
    layer_norm,
)
from backend.models.xpart.denoiser_config import PartDenoiserConfig


@dataclass(frozen=True)
class Contexts:
    """What is seen of the object and of its parts, as tokens.

    Parameters
    ----------
    whole : Tensor, shape (1 or parts, tokens, channels)
        Of the object. One for all parts is computed and attended to once.
    own : Tensor, shape (parts, tokens, channels)
        Of each part.
    """

    whole: Tensor
    own: Tensor


@dataclass(frozen=True)
class PartKeys:
    """Keys and values of both in one block; first sizes as those of ``Contexts``."""

    whole: ContextKeys
    own: ContextKeys


@dataclass(frozen=True)
class BlockWay:
    """How a block goes about it; no choice changes a result but for rounding.

    Parameters
    ----------
    sorted_experts : bool
        See ``MixtureOfExperts``.
    parts_per_call : int or None
        Parts that the layers, but for the attention among all parts, look at together; all if
        absent. Fewer take less memory.
    """

    sorted_experts: bool = True
    parts_per_call: int | None = None


for _tree in (Contexts, PartKeys, BlockWay):
    pytree.register_dataclass(_tree)


class PartBlock(SkipBlock):
    """Attention among tokens, to the object and to the own part, and a perceptron.

    Among tokens, every second block looks at all parts together, the others at each by itself.

    Source
    ------
    X-Part: High Fidelity and Structure Coherent Shape Decomposition (2025).
    """

    def __init__(self, config: PartDenoiserConfig, attend: Attend, number: int) -> None:
        super().__init__(config.trunk, attend, number)
        self.part_norm = layer_norm(config.trunk)
        self.part_attention = CrossAttention(config.for_part_context, attend)
        self.is_joint = number % 2 == 1

    def forward(
        self, tokens: Tensor, skip: Tensor | None, seen: PartKeys | Contexts, way: BlockWay
    ) -> Tensor:
        """Return the tokens changed.

        Parameters
        ----------
        tokens : Tensor, shape (parts, tokens, width)
        skip : Tensor, same shape, optional
            What an earlier block has passed on.
        seen : PartKeys or Contexts
            Keys that were kept, or what they are computed from.
        way : BlockWay
        """
        whole = seen.whole
        if isinstance(whole, Tensor):
            whole = self.cross_attention.keys_of(whole)
        if self.is_joint:
            tokens = self.joined(tokens, skip)
            tokens, skip = tokens + self._among_all(self.norm1(tokens)), None
        changed = [
            self._by_part(
                tokens[few],
                None if skip is None else skip[few],
                whole if len(whole.keys) == 1 else whole.items(few),
                seen.own[few] if isinstance(seen.own, Tensor) else seen.own.items(few),
                way.sorted_experts,
            )
            for few in _slices(len(tokens), way.parts_per_call)
        ]
        return changed[0] if len(changed) == 1 else torch.cat(changed)

    def keys_of(self, contexts: Contexts) -> PartKeys:
        """Compute what does not depend on the tokens."""
        return PartKeys(
            whole=self.cross_attention.keys_of(contexts.whole),
            own=self.part_attention.keys_of(contexts.own),
        )

    def _by_part(
        self,
        tokens: Tensor,
        skip: Tensor | None,
        whole: ContextKeys,
        own: ContextKeys | Tensor,
        sorted_experts: bool,
    ) -> Tensor:
        """Do what no other part is needed for."""
        if not self.is_joint:
            tokens = self.joined(tokens, skip)
            tokens = tokens + self.self_attention(self.norm1(tokens))
        if isinstance(own, Tensor):
            own = self.part_attention.keys_of(own)
        seen = self._at_object(self.norm2(tokens), whole)
        seen = seen + self.part_attention(self.part_norm(tokens), own)
        return self.fed_forward(tokens + seen, sorted_experts)

    def _among_all(self, tokens: Tensor) -> Tensor:
        """Attend from the tokens of all parts to those of all parts."""
        return _as_one(self.self_attention, tokens)

    def _at_object(self, tokens: Tensor, whole: ContextKeys) -> Tensor:
        """Attend to the object; to the same keys the tokens of all parts go as those of one."""
        if len(whole.keys) == 1:
            return _as_one(self.cross_attention, tokens, whole)
        seen: Tensor = self.cross_attention(tokens, whole)
        return seen


def _as_one(attention: nn.Module, tokens: Tensor, *more: ContextKeys) -> Tensor:
    """Run an attention with the tokens of several parts, one after the other, as one batch item."""
    seen: Tensor = attention(tokens.flatten(0, 1)[None], *more)
    return seen.view_as(tokens)


def _slices(parts: int, per_call: int | None) -> list[slice]:
    step = parts if per_call is None else per_call
    return [slice(first, first + step) for first in range(0, parts, step)]
