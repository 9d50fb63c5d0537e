"""Stable Diffusion as it is, for pictures that are changed. Imports torch and diffusers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from backend.models.attention import Attend, plain_attention
from backend.models.hunyuan3d_paint.transformer_layers import (
    BlockSight,
    ImageTransformer,
    TextBlock,
)
from backend.models.hunyuan3d_paint.unet import Unet
from backend.models.hunyuan3d_paint.unet_config import UnetConfig
from backend.models.hunyuan3d_paint.unet_layout import Transformer


class TextUnet(Unet):
    """A U-Net with a text.

    Source
    ------
    Rombach et al., High-Resolution Image Synthesis with Latent Diffusion Models (2022); with the
    latents of a picture beside those that are changed: Brooks et al., InstructPix2Pix (2023).
    """

    def __init__(self, config: UnetConfig, attend: Attend = plain_attention) -> None:
        def transformer(one: Transformer) -> nn.Module:
            block = TextBlock(one, config.text_width, attend)
            return ImageTransformer(one, config.groups, block)

        super().__init__(config, transformer)

    def forward(self, latents: Tensor, timestep: Tensor, sights: tuple[BlockSight, ...]) -> Tensor:
        """Return the prediction.

        Parameters
        ----------
        latents : Tensor, shape (images, in_channels, height, width)
            In the dtype of the weights.
        timestep : Tensor, shape (1,)
            As schedulers count.
        sights : tuple
            As ``prepare`` makes them.

        Returns
        -------
        Tensor, shape (images, out_channels, height, width)
        """
        return self.answer(latents, self.embedded(timestep), sights)

    @torch.no_grad()
    def prepare(self, text: Tensor) -> tuple[BlockSight, ...]:
        """Compute the keys of a text, shape (1, tokens, text_width), for every block."""
        sight = BlockSight(text)
        return tuple(
            one.with_keys(sight) for one in self.modules() if isinstance(one, ImageTransformer)
        )
