"""The network RRDBNet, which makes a picture four times as large. Imports torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.models.attention import Attend, plain_attention
from backend.models.upscaling.rrdb_config import RrdbConfig

ENLARGEMENT = 4
RESIDUAL_SCALE = 0.2
NEGATIVE_SLOPE = 0.2
DENSE_BLOCKS = 3
DENSE_CONVOLUTIONS = 5


class RrdbNet(nn.Module):
    """Residual dense blocks, then twice nearest neighbours and a convolution.

    Its parameters have their published names. The largest tensors are those of the last three
    convolutions, with ``width`` channels at the full size: 0.5 GB in half precision for 2048 px.
    Memory is bounded by giving one picture at a time.

    Parameters
    ----------
    config : RrdbConfig
    attend : Attend
        Not used: it has no attention.

    Source
    ------
    Wang et al., ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks (2018); Wang et
    al., Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data (2021).
    """

    def __init__(self, config: RrdbConfig, attend: Attend = plain_attention) -> None:
        super().__init__()
        del attend
        width = config.width
        self.config = config
        self.conv_first = _convolution(config.colours, width)
        self.body = nn.ModuleList(_Rrdb(config) for _ in range(config.blocks))
        self.conv_body = _convolution(width, width)
        self.conv_up1 = _convolution(width, width)
        self.conv_up2 = _convolution(width, width)
        self.conv_hr = _convolution(width, width)
        self.conv_last = _convolution(width, config.colours)

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return self.conv_first.weight.dtype

    def forward(self, picture: Tensor) -> Tensor:
        """Make pictures larger.

        Parameters
        ----------
        picture : Tensor, shape (batch, colours, height, width)
            Red, green, blue from 0 to 1, in the dtype of the weights.

        Returns
        -------
        Tensor, shape (batch, colours, 4 height, 4 width)
            Not clamped.
        """
        first = self.conv_first(picture)
        mixed = first
        for block in self.body:
            mixed = block(mixed)
        mixed = first + self.conv_body(mixed)
        for convolution in (self.conv_up1, self.conv_up2):
            mixed = _activated(convolution(_doubled(mixed)))
        larger: Tensor = self.conv_last(_activated(self.conv_hr(mixed)))
        return larger


class _Rrdb(nn.Module):
    """Dense blocks in a residual branch."""

    def __init__(self, config: RrdbConfig) -> None:
        super().__init__()
        for number in range(1, DENSE_BLOCKS + 1):
            self.add_module(f"rdb{number}", _DenseBlock(config))

    def forward(self, picture: Tensor) -> Tensor:
        mixed = picture
        for block in self.children():
            mixed = block(mixed)
        return torch.add(picture, mixed, alpha=RESIDUAL_SCALE)


class _DenseBlock(nn.Module):
    """Convolutions that each see what all before them made, in a residual branch."""

    def __init__(self, config: RrdbConfig) -> None:
        super().__init__()
        for number in range(1, DENSE_CONVOLUTIONS + 1):
            is_last = number == DENSE_CONVOLUTIONS
            made = config.width if is_last else config.growth
            seen = config.width + (number - 1) * config.growth
            self.add_module(f"conv{number}", _convolution(seen, made))

    def forward(self, picture: Tensor) -> Tensor:
        seen = picture
        *growing, last = self.children()
        for convolution in growing:
            seen = torch.cat([seen, _activated(convolution(seen))], dim=1)
        return torch.add(picture, last(seen), alpha=RESIDUAL_SCALE)


def _convolution(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1)


def _activated(picture: Tensor) -> Tensor:
    return functional.leaky_relu(picture, NEGATIVE_SLOPE, inplace=not torch.is_grad_enabled())


def _doubled(picture: Tensor) -> Tensor:
    return functional.interpolate(picture, scale_factor=2, mode="nearest")
