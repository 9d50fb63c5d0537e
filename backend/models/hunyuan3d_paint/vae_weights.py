"""Published names of the weights of ``PictureVae``. Imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from backend.models.hunyuan3d.plain_weights import (
    Origin,
    fold_origins,
    linear_origins,
    norm_origins,
    published_shapes,
)
from backend.models.hunyuan3d_paint.picture_vae_config import PictureVaeConfig
from backend.models.hunyuan3d_paint.unet_origins import conv_origins

_OURS = "network."
_ATTENTION = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def fold(state: Mapping[str, Tensor], config: PictureVaeConfig) -> dict[str, Tensor]:
    """Turn published weights into those of ``PictureVae``; as ``paint_weights.fold``."""
    return fold_origins(state, _origins(config))


def upstream_shapes(config: PictureVaeConfig) -> dict[str, torch.Size]:
    """Return the shapes that a published checkpoint has, by name."""
    return published_shapes(_origins(config))


def _origins(config: PictureVaeConfig) -> Iterator[Origin]:
    latents = config.latent_channels
    yield from _half("encoder", config)
    yield from _half("decoder", config)
    for name, channels in (("quant_conv", 2 * latents), ("post_quant_conv", latents)):
        yield from conv_origins(f"{_OURS}{name}", name, channels, channels, kernel_px=1)


def _half(half: str, config: PictureVaeConfig) -> Iterator[Origin]:
    is_encoder = half == "encoder"
    widths = config.widths if is_encoder else config.widths[::-1]
    layers = config.layers_per_level + (0 if is_encoder else 1)
    way, resampler = ("down", "downsamplers") if is_encoder else ("up", "upsamplers")
    ends = (config.colours, 2 * config.latent_channels)
    channels, out = ends if is_encoder else (config.latent_channels, config.colours)
    yield from _conv(f"{half}.conv_in", channels, widths[0])
    width = widths[0]
    for number, wide in enumerate(widths):
        block = f"{half}.{way}_blocks.{number}"
        for layer in range(layers):
            yield from _resnet(f"{block}.resnets.{layer}", width, wide)
            width = wide
        if number < len(widths) - 1:
            yield from _conv(f"{block}.{resampler}.0.conv", wide, wide)
    yield from _middle(f"{half}.mid_block", config)
    yield from norm_origins(f"{_OURS}{half}.conv_norm_out", f"{half}.conv_norm_out", width)
    yield from _conv(f"{half}.conv_out", width, out)


def _middle(middle: str, config: PictureVaeConfig) -> Iterator[Origin]:
    width, attention = config.widths[-1], f"{middle}.attentions.0"
    for number in range(2):
        yield from _resnet(f"{middle}.resnets.{number}", width, width)
    yield from norm_origins(f"{_OURS}{attention}.group_norm", f"{attention}.group_norm", width)
    for layer, former in _ATTENTION.items():
        published = f"{attention}.{former if config.has_former_names else layer}"
        yield from linear_origins(f"{_OURS}{attention}.{layer}", published, width, width)


def _resnet(name: str, channels: int, out: int) -> Iterator[Origin]:
    yield from norm_origins(f"{_OURS}{name}.norm1", f"{name}.norm1", channels)
    yield from _conv(f"{name}.conv1", channels, out)
    yield from norm_origins(f"{_OURS}{name}.norm2", f"{name}.norm2", out)
    yield from _conv(f"{name}.conv2", out, out)
    if channels != out:
        yield from _conv(f"{name}.conv_shortcut", channels, out, kernel_px=1)


def _conv(name: str, channels: int, out: int, kernel_px: int = 3) -> Iterator[Origin]:
    return conv_origins(f"{_OURS}{name}", name, channels, out, kernel_px)
