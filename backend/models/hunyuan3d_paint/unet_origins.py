"""Published names of the weights that all U-Nets here share. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from backend.models.hunyuan3d.plain_weights import (
    Origin,
    as_it_is,
    linear_origins,
    linear_shapes,
    norm_origins,
)
from backend.models.hunyuan3d_paint.transformer_layers import MLP_WIDENING
from backend.models.hunyuan3d_paint.unet_config import UnetConfig
from backend.models.hunyuan3d_paint.unet_layout import Level, Transformer, UnetLayout

# Yields the origins of a block: its sizes, our name of it, and the published one.
BlockOrigins = Callable[[Transformer, str, str], Iterator[Origin]]

_OURS = {"down_blocks": "down", "mid_block": "middle", "up_blocks": "up"}


def trunk_origins(config: UnetConfig, prefix: str, block: BlockOrigins) -> Iterator[Origin]:
    """Yield the origins of a ``UnetTrunk``.

    Parameters
    ----------
    prefix : str
        Of the published names, with the dot.
    block : callable
        For the block of a transformer.
    """
    width = config.widths[0]
    yield from conv_origins("conv_in", f"{prefix}conv_in", config.in_channels, width)
    for layer, channels in (("linear_1", width), ("linear_2", config.time_width)):
        name = f"time_embedding.{layer}"
        yield from linear_origins(name, f"{prefix}{name}", channels, config.time_width)
    for level in UnetLayout(config).levels:
        yield from _level(level, config, prefix, block)


def end_origins(config: UnetConfig, prefix: str) -> Iterator[Origin]:
    """Yield the origins of what ``Unet`` has beside its trunk."""
    width = config.widths[0]
    yield from norm_origins("conv_norm_out", f"{prefix}conv_norm_out", width)
    yield from conv_origins("conv_out", f"{prefix}conv_out", width, config.out_channels)


def text_block(text_width: int) -> BlockOrigins:
    """Return what yields the origins of a ``TextBlock`` and of all blocks that build on it."""

    def origins(one: Transformer, ours: str, theirs: str) -> Iterator[Origin]:
        for norm in ("norm1", "norm2", "norm3"):
            yield from norm_origins(f"{ours}.{norm}", f"{theirs}.{norm}", one.width)
        yield from attention_origins(f"{ours}.self_attention", f"{theirs}.attn1", one.width)
        yield from cross_origins(f"{ours}.text_attention", f"{theirs}.attn2", one.width, text_width)
        inner = MLP_WIDENING * one.width
        perceptron = f"{ours}.perceptron"
        yield from linear_origins(
            f"{perceptron}.up", f"{theirs}.ff.net.0.proj", one.width, 2 * inner
        )
        yield from linear_origins(f"{perceptron}.down", f"{theirs}.ff.net.2", inner, one.width)

    return origins


def attention_origins(
    ours: str, theirs: str, width: int, name: Callable[[str], str] = str
) -> Iterator[Origin]:
    """Yield the origins of an attention among tokens.

    Parameters
    ----------
    name : callable, optional
        Tells for ``to_q``, ``to_k``, ``to_v`` and ``to_out.0`` what they are called.
    """
    shape = linear_shapes(width, width)["weight"]
    published = {f"{theirs}.{name(f'to_{part}')}.weight": shape for part in "qkv"}
    yield Origin(f"{ours}.qkv.weight", published, torch.cat)
    yield from linear_origins(f"{ours}.out", f"{theirs}.{name('to_out.0')}", width, width)


def cross_origins(ours: str, theirs: str, width: int, context_width: int) -> Iterator[Origin]:
    """Yield the origins of an attention to a context."""
    yield from linear_origins(f"{ours}.q", f"{theirs}.to_q", width, width, False)
    shape = linear_shapes(context_width, width)["weight"]
    published = {f"{theirs}.to_{part}.weight": shape for part in "kv"}
    yield Origin(f"{ours}.kv.weight", published, torch.cat)
    yield from linear_origins(f"{ours}.out", f"{theirs}.to_out.0", width, width)


def conv_origins(
    ours: str, theirs: str, in_channels: int, out_channels: int, kernel_px: int = 3
) -> Iterator[Origin]:
    """Yield the origins of a convolution."""
    shape = torch.Size([out_channels, in_channels, kernel_px, kernel_px])
    yield Origin(f"{ours}.weight", {f"{theirs}.weight": shape}, as_it_is)
    yield Origin(f"{ours}.bias", {f"{theirs}.bias": torch.Size([out_channels])}, as_it_is)


def entry_origins(ours: str, one: Transformer, theirs: str) -> Iterator[Origin]:
    """Yield the origins of what turns a feature map into tokens."""
    yield from norm_origins(f"{ours}.norm", f"{theirs}.norm", one.width)
    yield from linear_origins(f"{ours}.proj_in", f"{theirs}.proj_in", one.width, one.width)


def without_batch(tensors: list[Tensor]) -> Tensor:
    """Stack learned texts, which some models publish as a batch of one."""
    return torch.stack([one.reshape(one.shape[-2:]) for one in tensors])


def _level(level: Level, config: UnetConfig, prefix: str, block: BlockOrigins) -> Iterator[Origin]:
    first, _, number = level.name.partition(".")
    ours = _OURS[first] + (f".{number}" if number else "")
    theirs = f"{prefix}{level.name}"
    for index, (channels, out) in enumerate(level.resnets):
        yield from _resnet(
            f"{ours}.resnets.{index}", f"{theirs}.resnets.{index}", channels, out, config
        )
    for index, one in enumerate(level.transformers):
        inside = f"{ours}.transformers.{index}"
        published = f"{theirs}.attentions.{index}"
        yield from entry_origins(inside, one, published)
        yield from block(one, f"{inside}.block", f"{published}.transformer_blocks.0")
        yield from linear_origins(
            f"{inside}.proj_out", f"{published}.proj_out", one.width, one.width
        )
    if level.resampled:
        yield from conv_origins(
            f"{ours}.resampler.conv", f"{theirs}.{level.resampled}", level.width, level.width
        )


def _resnet(
    ours: str, theirs: str, channels: int, out: int, config: UnetConfig
) -> Iterator[Origin]:
    yield from norm_origins(f"{ours}.norm1", f"{theirs}.norm1", channels)
    yield from conv_origins(f"{ours}.conv1", f"{theirs}.conv1", channels, out)
    yield from linear_origins(
        f"{ours}.time_emb_proj", f"{theirs}.time_emb_proj", config.time_width, out
    )
    yield from norm_origins(f"{ours}.norm2", f"{theirs}.norm2", out)
    yield from conv_origins(f"{ours}.conv2", f"{theirs}.conv2", out, out)
    if channels != out:
        yield from conv_origins(
            f"{ours}.conv_shortcut", f"{theirs}.conv_shortcut", channels, out, kernel_px=1
        )
