"""A U-Net whose attention is chosen by who builds it. Imports torch and diffusers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import torch
from diffusers.models.downsampling import Downsample2D
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn
from torch.nn import functional

from backend.models.hunyuan3d_paint.unet_config import UnetConfig
from backend.models.hunyuan3d_paint.unet_layout import Level, Transformer, UnetLayout

NORM_EPSILON = 1e-5


class UnetTrunk(nn.Module):
    """All of a U-Net but its last layers.

    Parameters
    ----------
    config : UnetConfig
    transformer : callable
        Makes what follows a resnet; it takes a feature map and what ``forward`` is given for it.

    Source
    ------
    Ronneberger et al., U-Net (2015); Rombach et al., High-Resolution Image Synthesis with Latent
    Diffusion Models (2022), Stable Diffusion 2.1.
    """

    def __init__(self, config: UnetConfig, transformer: Callable[[Transformer], nn.Module]) -> None:
        super().__init__()
        width, layout = config.widths[0], UnetLayout(config)
        self.sizes = config
        self.layout = layout
        self.conv_in = nn.Conv2d(config.in_channels, width, 3, padding=1)
        self.time_waves = Timesteps(width, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(width, config.time_width)
        self.down = nn.ModuleList(_Level(level, config, transformer) for level in layout.down)
        self.middle = _Level(layout.middle, config, transformer)
        self.up = nn.ModuleList(_Level(level, config, transformer) for level in layout.up)

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return self.conv_in.weight.dtype

    def embedded(self, timestep: Tensor) -> Tensor:
        """Describe a time.

        Parameters
        ----------
        timestep : Tensor, shape (1,)
            As schedulers count, from 999 (noise) to 0 (data).

        Returns
        -------
        Tensor, shape (1, time_width)
            In the dtype of the weights. What comes before the first layer is float32: half
            precision would move the phase of the sinusoids.
        """
        embedding: Tensor = self.time_embedding(self.time_waves(timestep).to(self.dtype))
        return embedding

    def features(self, images: Tensor, embedding: Tensor, sights: Sequence[Any]) -> Tensor:
        """Return what the last layers are given.

        Parameters
        ----------
        images : Tensor, shape (images, in_channels, height, width)
            In the dtype of the weights; sides are multiples of ``sizes.shrinking``.
        embedding : Tensor, shape (1 or images, time_width)
        sights : sequence
            One for each of ``layout.transformers``, in their order.

        Returns
        -------
        Tensor, shape (images, widths[0], height, width)
        """
        given = iter(sights)
        hidden = self.conv_in(images)
        left = [hidden]
        for level in self.down:
            hidden = level(hidden, embedding, given, left)
        hidden = self.middle.as_middle(hidden, embedding, given)
        for level in self.up:
            hidden = cast("_Level", level).upwards(hidden, embedding, given, left)
        features: Tensor = hidden
        return features


class Unet(UnetTrunk):
    """A whole U-Net."""

    def __init__(self, config: UnetConfig, transformer: Callable[[Transformer], nn.Module]) -> None:
        super().__init__(config, transformer)
        width = config.widths[0]
        self.conv_norm_out = nn.GroupNorm(config.groups, width, eps=NORM_EPSILON)
        self.conv_out = nn.Conv2d(width, config.out_channels, 3, padding=1)

    def answer(self, images: Tensor, embedding: Tensor, sights: Sequence[Any]) -> Tensor:
        """Return the prediction, (images, out_channels, height, width); see ``features``."""
        features = self.features(images, embedding, sights)
        result: Tensor = self.conv_out(functional.silu(self.conv_norm_out(features)))
        return result


class _Level(nn.Module):
    """Resnets, each followed by a transformer where there is one, then a change of size."""

    def __init__(
        self, level: Level, config: UnetConfig, transformer: Callable[[Transformer], nn.Module]
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(
            ResnetBlock2D(
                in_channels=channels,
                out_channels=out,
                temb_channels=config.time_width,
                groups=config.groups,
                eps=NORM_EPSILON,
            )
            for channels, out in level.resnets
        )
        self.transformers = nn.ModuleList(transformer(one) for one in level.transformers)
        self.resampler: nn.Module | None = None
        if level.resampled.startswith("down"):
            # Under its usual name the layer would be there twice.
            self.resampler = Downsample2D(level.width, use_conv=True, padding=1, name="op")
        elif level.resampled:
            self.resampler = Upsample2D(level.width, use_conv=True)

    def forward(
        self, hidden: Tensor, embedding: Tensor, given: Iterator[Any], left: list[Tensor]
    ) -> Tensor:
        """Go down, leaving behind what the way up takes in."""
        for number in range(len(self.resnets)):
            hidden = self._layer(number, hidden, embedding, given)
            left.append(hidden)
        if self.resampler is not None:
            hidden = self.resampler(hidden)
            left.append(hidden)
        return hidden

    def as_middle(self, hidden: Tensor, embedding: Tensor, given: Iterator[Any]) -> Tensor:
        """Go through the middle."""
        for number in range(len(self.resnets)):
            hidden = self._layer(number, hidden, embedding, given)
        return hidden

    def upwards(
        self, hidden: Tensor, embedding: Tensor, given: Iterator[Any], left: list[Tensor]
    ) -> Tensor:
        """Go up, taking in what was left last."""
        for number in range(len(self.resnets)):
            joined = torch.cat([hidden, left.pop()], dim=1)
            hidden = self._layer(number, joined, embedding, given)
        return hidden if self.resampler is None else self.resampler(hidden)

    def _layer(
        self, number: int, hidden: Tensor, embedding: Tensor, given: Iterator[Any]
    ) -> Tensor:
        hidden = self.resnets[number](hidden, embedding)
        if number < len(self.transformers):
            hidden = self.transformers[number](hidden, next(given))
        return hidden
