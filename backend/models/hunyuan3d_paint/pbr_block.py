"""The block that paints materials on several views at once. Imports torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from backend.models.attention import Attend, heads_of, joined_heads
from backend.models.hunyuan3d.plain_blocks import ContextKeys, CrossAttention, SelfAttention
from backend.models.hunyuan3d_paint.rotary import Rotation, rotated
from backend.models.hunyuan3d_paint.transformer_layers import (
    LAYER_NORM_EPSILON,
    BlockSight,
    GatedPerceptron,
    attention_sizes,
    look,
    with_keys,
)
from backend.models.hunyuan3d_paint.unet_layout import Transformer

MATERIALS = 2


class PbrBlock(nn.Module):
    """A block whose tokens are those of all views, first for colour, then for the material.

    Source
    ------
    Hunyuan3D 2.1: From Images to High-Fidelity 3D Assets with Production-Ready PBR Material
    (2025).
    """

    def __init__(self, one: Transformer, context_width: int, attend: Attend) -> None:
        super().__init__()
        sizes, context_sizes = attention_sizes(one), attention_sizes(one, context_width)
        self.norm1, self.norm2, self.norm3 = (
            nn.LayerNorm(one.width, eps=LAYER_NORM_EPSILON) for _ in range(3)
        )
        self.self_attention = nn.ModuleList(SelfAttention(sizes, attend) for _ in range(MATERIALS))
        self.reference_attention = MaterialAttention(one, attend)
        self.view_attention = PlacedAttention(sizes, attend)
        self.text_attention = CrossAttention(context_sizes, attend)
        self.dino_attention = CrossAttention(context_sizes, attend)
        self.perceptron = GatedPerceptron(one.width)

    def forward(self, tokens: Tensor, sight: BlockSight) -> Tensor:
        """Return the tokens changed.

        Parameters
        ----------
        tokens : Tensor, shape (2 * views, tokens, width)
        sight : BlockSight
            Its text has an item for each material, the rest has one for both.
        """
        tokens = self._among_tokens(tokens, sight)
        normed = self.norm2(tokens)
        if sight.text is not None:
            tokens = tokens + look(self.text_attention, normed, sight.text)
        if sight.dino is not None:
            tokens = tokens + look(self.dino_attention, normed, sight.dino)
        changed: Tensor = self.perceptron(self.norm3(tokens))
        return tokens + changed

    def with_keys(self, sight: BlockSight) -> BlockSight:
        """Compute the keys of all that is seen."""
        return with_keys(
            sight,
            text=self.text_attention,
            reference=self.reference_attention,
            dino=self.dino_attention,
        )

    def _among_tokens(self, tokens: Tensor, sight: BlockSight) -> Tensor:
        """Look around in each view, at the reference, and at all views."""
        normed = self.norm1(tokens)
        materials = normed.chunk(MATERIALS)
        around = zip(self.self_attention, materials, strict=True)
        tokens = tokens + torch.cat([attention(own) for attention, own in around])
        if sight.reference is not None:
            seen = self.reference_attention(materials[0].flatten(0, 1)[None], sight.reference)
            tokens = tokens + sight.reference_scale * seen.reshape(tokens.shape)
        if len(materials[0]) > 1:
            together = normed.reshape(MATERIALS, -1, tokens.shape[-1])
            tokens = tokens + self.view_attention(together, sight.rotation).view_as(tokens)
        return tokens


class PlacedAttention(SelfAttention):
    """Attention between tokens that know where they lie."""

    def forward(self, tokens: Tensor, rotation: Rotation | None = None) -> Tensor:
        """Return what is to be added to the tokens, (batch, tokens, width)."""
        q, k, v = (heads_of(part, self.heads) for part in self.qkv(tokens).chunk(3, dim=-1))
        if rotation is not None:
            q, k = rotated(q, rotation), rotated(k, rotation)
        seen: Tensor = self.out(joined_heads(self.attend(q, k, v)))
        return seen


class MaterialAttention(nn.Module):
    """Attention to the reference that is asked once and answers for each material.

    Attention knows values as wide as keys only, so that each material asks anew; all else is
    shared.
    """

    def __init__(self, one: Transformer, attend: Attend) -> None:
        super().__init__()
        self.q = nn.Linear(one.width, one.width, bias=False)
        self.kv = nn.Linear(one.width, (1 + MATERIALS) * one.width, bias=False)
        self.out = nn.ModuleList(nn.Linear(one.width, one.width) for _ in range(MATERIALS))
        self.heads = one.heads
        self.attend = attend

    def forward(self, tokens: Tensor, context: ContextKeys | Tensor) -> Tensor:
        """Return what is to be added to the tokens of each material.

        Parameters
        ----------
        tokens : Tensor, shape (1, tokens, width)
            Those of colour.
        context : ContextKeys or Tensor of shape (1, context_tokens, width)

        Returns
        -------
        Tensor, shape (2, tokens, width)
        """
        known = context if isinstance(context, ContextKeys) else self.keys_of(context)
        q = heads_of(self.q(tokens), self.heads)
        answers = [
            out(joined_heads(self.attend(q, known.keys, values)))
            for out, values in zip(self.out, known.values.chunk(MATERIALS), strict=True)
        ]
        return torch.cat(answers)

    def keys_of(self, context: Tensor) -> ContextKeys:
        """Compute what does not depend on the tokens: keys once, values for each material."""
        keys, *values = (
            heads_of(part, self.heads) for part in self.kv(context).chunk(1 + MATERIALS, dim=-1)
        )
        return ContextKeys(keys.contiguous(), torch.cat(values).contiguous())
