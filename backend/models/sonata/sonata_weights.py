"""Published names of the weights of ``PointFeatures``, and what becomes of them. Imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from backend.models.hunyuan3d.plain_weights import (
    Origin,
    as_it_is,
    fold_origins,
    linear_origins,
    norm_origins,
    published_shapes,
)
from backend.models.sonata.config import SonataConfig

# Published, and used in training only.
LEFT_OUT = ("sonata.embedding.mask_token",)
_SIDE = 3


def fold(state: Mapping[str, Tensor], config: SonataConfig) -> dict[str, Tensor]:
    """Turn published weights into those of ``PointFeatures``; nothing is copied.

    Names begin with ``sonata.`` and ``mlp.``; parameters and errors are those of
    ``plain_weights.fold``.
    """
    return fold_origins(state, origins(config))


def upstream_shapes(config: SonataConfig) -> dict[str, torch.Size]:
    """Return the shapes that a published checkpoint has, by name, without ``LEFT_OUT``."""
    return published_shapes(origins(config))


def origins(
    config: SonataConfig, ours_prefix: str = "", theirs_prefix: str = ""
) -> Iterator[Origin]:
    """Yield the origin of each parameter, for networks that have ``PointFeatures`` in them.

    Parameters
    ----------
    ours_prefix, theirs_prefix : str, optional
        What stands before ``sonata.`` and ``mlp.`` here and in the checkpoint, dot included.
    """
    ours, theirs = f"{ours_prefix}sonata", f"{theirs_prefix}sonata"
    width = config.channels[0]
    stem = f"{theirs}.embedding.stem"
    yield from linear_origins(
        f"{ours}.embedding.linear", f"{stem}.linear", config.in_channels, width
    )
    yield from norm_origins(f"{ours}.embedding.norm", f"{stem}.norm", width)
    for level in range(config.levels):
        yield from _level(f"{ours}.levels.{level}", f"{theirs}.enc.enc{level}", level, config)
    yield from _level_perceptron(f"{ours_prefix}mlp", f"{theirs_prefix}mlp", config)


def _level(ours: str, theirs: str, level: int, config: SonataConfig) -> Iterator[Origin]:
    width = config.channels[level]
    if level:
        down = f"{theirs}.down"
        finer = config.channels[level - 1]
        yield from linear_origins(f"{ours}.pooling.projection", f"{down}.proj", finer, width)
        yield from norm_origins(f"{ours}.pooling.norm", f"{down}.norm.0", width)
    for number in range(config.depths[level]):
        names = f"{ours}.blocks.{number}", f"{theirs}.block{number}"
        yield from _block(*names, width, config.mlp_ratio * width)


def _block(ours: str, theirs: str, width: int, mlp_width: int) -> Iterator[Origin]:
    yield from _convolution(f"{ours}.convolution", f"{theirs}.cpe.0", width)
    for layer, published, in_channels, out_channels in (
        ("position", "cpe.1", width, width),
        ("attention.qkv", "attn.qkv", width, 3 * width),
        ("attention.out", "attn.proj", width, width),
        ("perceptron.up", "mlp.0.fc1", width, mlp_width),
        ("perceptron.down", "mlp.0.fc2", mlp_width, width),
    ):
        names = f"{ours}.{layer}", f"{theirs}.{published}"
        yield from linear_origins(*names, in_channels, out_channels)
    for norm, published in (
        ("position_norm", "cpe.2"),
        ("attention_norm", "norm1.0"),
        ("perceptron_norm", "norm2.0"),
    ):
        yield from norm_origins(f"{ours}.{norm}", f"{theirs}.{published}", width)


def _convolution(ours: str, theirs: str, width: int) -> Iterator[Origin]:
    shape = torch.Size([width, _SIDE, _SIDE, _SIDE, width])
    yield Origin(f"{ours}.weight", {f"{theirs}.weight": shape}, _flat_steps)
    yield Origin(f"{ours}.bias", {f"{theirs}.bias": torch.Size([width])}, as_it_is)


def _flat_steps(tensors: list[Tensor]) -> Tensor:
    """Number the 27 steps of (out, 3, 3, 3, in) through; a view."""
    return tensors[0].flatten(1, 3)


def _level_perceptron(ours: str, theirs: str, config: SonataConfig) -> Iterator[Origin]:
    width = config.joined_channels
    for layer, published, in_channels, out_channels in (
        ("first", "0", sum(config.channels), width),
        ("second", "2", width, width),
        ("third", "4", width, config.out_channels),
    ):
        names = f"{ours}.{layer}", f"{theirs}.{published}"
        yield from linear_origins(*names, in_channels, out_channels)
