"""Looks at the pictures that an object is to be painted after. Imports torch and diffusers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from backend.models.attention import Attend, plain_attention
from backend.models.hunyuan3d_paint.paint_config import PaintConfig
from backend.models.hunyuan3d_paint.transformer_layers import (
    GROUP_NORM_EPSILON,
    LAYER_NORM_EPSILON,
    BlockSight,
    ImageTransformer,
    TextBlock,
    tokens_of,
)
from backend.models.hunyuan3d_paint.unet import UnetTrunk
from backend.models.hunyuan3d_paint.unet_layout import Transformer, UnetLayout


@dataclass(frozen=True)
class _Collecting:
    """A text to look at, and where to put what other networks shall see."""

    sight: BlockSight
    seen: list[Tensor]


class ReferenceUnet(UnetTrunk):
    """Stable Diffusion without noise, of which only what goes into its blocks is of use.

    The features depend on the pictures alone. What follows the last of them is left out.

    Source
    ------
    Hunyuan3D 2.0: Scaling Diffusion Models for High Resolution Textured 3D Assets Generation
    (2025), the reference branch.
    """

    def __init__(self, config: PaintConfig, attend: Attend = plain_attention) -> None:
        sizes = config.unet
        last = UnetLayout(sizes).transformers[-1]

        def transformer(one: Transformer) -> nn.Module:
            if one == last:
                return _LastLook(one, sizes.groups)
            block = _SeenBlock(one, sizes.text_width, attend)
            return ImageTransformer(one, sizes.groups, block)

        super().__init__(sizes, transformer)
        self.text = nn.Parameter(torch.zeros(1, config.text_tokens, sizes.text_width))

    def forward(self, latents: Tensor) -> dict[str, Tensor]:
        """Return what a network that paints sees of pictures, by name of its transformer.

        Parameters
        ----------
        latents : Tensor, shape (pictures, channels, height, width)
            Of the pictures without noise, in the dtype of the weights.

        Returns
        -------
        dict of str to Tensor, shape (1, pictures * tokens, width)
        """
        collecting = _Collecting(BlockSight(self.text), [])
        embedding = self.embedded(torch.zeros(1, device=latents.device))
        self.features(latents, embedding, [collecting] * len(self.layout.transformers))
        names = [one.name for one in self.layout.transformers]
        return {
            name: tokens.reshape(1, -1, tokens.shape[-1])
            for name, tokens in zip(names, collecting.seen, strict=True)
        }


class _SeenBlock(TextBlock):
    def forward(self, tokens: Tensor, given: _Collecting) -> Tensor:  # type: ignore[override]
        given.seen.append(self.norm1(tokens))
        return super().forward(tokens, given.sight)


class _LastLook(nn.Module):
    """As much of a transformer as comes before what is seen of it."""

    def __init__(self, one: Transformer, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, one.width, eps=GROUP_NORM_EPSILON)
        self.proj_in = nn.Linear(one.width, one.width)
        self.norm1 = nn.LayerNorm(one.width, eps=LAYER_NORM_EPSILON)

    def forward(self, image: Tensor, given: _Collecting) -> Tensor:
        given.seen.append(self.norm1(self.proj_in(tokens_of(self.norm(image)))))
        return image
