"""The block that paints colour on several views at once. Imports torch."""

from __future__ import annotations

from torch import Tensor

from backend.models.attention import Attend
from backend.models.hunyuan3d.plain_blocks import CrossAttention, SelfAttention
from backend.models.hunyuan3d_paint.transformer_layers import (
    BlockSight,
    TextBlock,
    attention_sizes,
    look,
    with_keys,
)
from backend.models.hunyuan3d_paint.unet_layout import Transformer


class ColourBlock(TextBlock):
    """The block of Stable Diffusion that also looks at the reference and at all views.

    Source
    ------
    Hunyuan3D 2.0: Scaling Diffusion Models for High Resolution Textured 3D Assets Generation
    (2025).
    """

    def __init__(self, one: Transformer, text_width: int, attend: Attend) -> None:
        super().__init__(one, text_width, attend)
        self.reference_attention = CrossAttention(attention_sizes(one), attend)
        self.view_attention = SelfAttention(attention_sizes(one), attend)

    def forward(self, tokens: Tensor, sight: BlockSight) -> Tensor:
        """Return the tokens changed.

        Parameters
        ----------
        tokens : Tensor, shape (views, tokens, width)
        sight : BlockSight
        """
        normed = self.norm1(tokens)
        tokens = tokens + self.self_attention(normed)
        if sight.reference is not None:
            seen = look(self.reference_attention, normed, sight.reference)
            tokens = tokens + sight.reference_scale * seen
        if len(tokens) > 1:
            together = self.view_attention(normed.flatten(0, 1)[None])
            tokens = tokens + together.view_as(tokens)
        return self.fed_forward(tokens + self.answer_to_text(self.norm2(tokens), sight))

    def with_keys(self, sight: BlockSight) -> BlockSight:
        """Compute the keys of all that is seen."""
        return with_keys(sight, text=self.text_attention, reference=self.reference_attention)
