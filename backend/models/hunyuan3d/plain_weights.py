"""Published names of the weights of Hunyuan3D 2.1, and what becomes of them. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from backend.models.hunyuan3d.plain_config import HeadNorm, PlainConfig

Join: TypeAlias = Callable[[list[Tensor]], Tensor]
Rename: TypeAlias = Callable[[str], str]


@dataclass(frozen=True)
class Origin:
    """Where one of our parameters comes from.

    Parameters
    ----------
    name : str
        Of our parameter.
    published : dict of str to torch.Size
        Names and shapes of the tensors that it is made of, in order.
    join : callable
        Makes it of them.
    """

    name: str
    published: dict[str, torch.Size]
    join: Join


def fold(state: Mapping[str, Tensor], config: PlainConfig) -> dict[str, Tensor]:
    """Turn published weights into those of ``PlainDenoiser``.

    Projections to queries, keys and values become one whose output lies as attention wants it.
    Experts are stacked. Everything else is passed on without a copy.

    Parameters
    ----------
    state : mapping
        By published name without prefix. Names that are not in ``upstream_shapes`` are left out.

    Raises
    ------
    KeyError
        With the published name of a tensor that is missing.
    """
    return fold_origins(state, origins(config))


def upstream_shapes(config: PlainConfig) -> dict[str, torch.Size]:
    """Return the shapes that a published checkpoint has, by name without prefix."""
    return published_shapes(origins(config))


def fold_origins(state: Mapping[str, Tensor], of: Iterator[Origin]) -> dict[str, Tensor]:
    """Make our parameters; parameters and errors as those of ``fold``."""
    return {one.name: one.join([state[name] for name in one.published]) for one in of}


def published_shapes(of: Iterator[Origin]) -> dict[str, torch.Size]:
    """Return the shapes of everything that our parameters come from."""
    return {name: shape for one in of for name, shape in one.published.items()}


def origins(config: PlainConfig, rename: Rename = str) -> Iterator[Origin]:
    """Yield the origin of each parameter.

    Parameters
    ----------
    rename : callable, optional
        Tells for a name in Hunyuan3D 2.1 what another model of this design calls it.
    """
    for one in _origins(config):
        published = {rename(name): shape for name, shape in one.published.items()}
        yield Origin(one.name, published, one.join)


def _origins(config: PlainConfig) -> Iterator[Origin]:
    width = config.width
    yield from linear_origins("latent_in", "x_embedder", config.latent_channels, width)
    yield from perceptron_origins("time_in", ("t_embedder.mlp.0", "t_embedder.mlp.2"), config)
    for number in range(config.depth):
        yield from _block(f"blocks.{number}", config, number)
    yield from norm_origins("norm_out", "final_layer.norm_final", width)
    yield from linear_origins("out", "final_layer.linear", width, config.latent_channels)


def _block(block: str, config: PlainConfig, number: int) -> Iterator[Origin]:
    width = config.width
    if config.takes_skip(number):
        yield from linear_origins(f"{block}.skip_linear", f"{block}.skip_linear", 2 * width, width)
        yield from norm_origins(f"{block}.skip_norm", f"{block}.skip_norm", width)
    for layer in ("norm1", "norm2", "norm3"):
        yield from norm_origins(f"{block}.{layer}", f"{block}.{layer}", width)
    yield from _self_attention(f"{block}.self_attention", f"{block}.attn1", config)
    yield from cross_attention_origins(f"{block}.cross_attention", f"{block}.attn2", config)
    if config.has_experts(number):
        yield from _experts(f"{block}.perceptron", f"{block}.moe", config)
    else:
        layers = (f"{block}.mlp.fc1", f"{block}.mlp.fc2")
        yield from perceptron_origins(f"{block}.perceptron", layers, config)


def _self_attention(ours: str, theirs: str, config: PlainConfig) -> Iterator[Origin]:
    width = config.width
    projections = [f"{theirs}.to_{part}" for part in "qkv"]
    yield from _interleaved(f"{ours}.qkv", projections, width, config)
    yield from _head_norms_and_out(ours, theirs, config)


def cross_attention_origins(ours: str, theirs: str, config: PlainConfig) -> Iterator[Origin]:
    """Yield the origins of a ``CrossAttention`` of this design, by the names of its layers."""
    width = config.width
    yield from linear_origins(f"{ours}.q", f"{theirs}.to_q", width, width, config.has_qkv_bias)
    projections = [f"{theirs}.to_{part}" for part in "kv"]
    yield from _interleaved(f"{ours}.kv", projections, config.context_channels, config)
    yield from _head_norms_and_out(ours, theirs, config)


def _head_norms_and_out(ours: str, theirs: str, config: PlainConfig) -> Iterator[Origin]:
    has_bias = config.head_norm is HeadNorm.LAYER
    if config.head_norm is not HeadNorm.NONE:
        for norm in ("q_norm", "k_norm"):
            yield from norm_origins(
                f"{ours}.{norm}", f"{theirs}.{norm}", config.head_width, has_bias
            )
    yield from linear_origins(f"{ours}.out", f"{theirs}.out_proj", config.width, config.width)


def _experts(ours: str, theirs: str, config: PlainConfig) -> Iterator[Origin]:
    yield from linear_origins(f"{ours}.gate", f"{theirs}.gate", config.width, config.experts, False)
    shared = [f"{theirs}.shared_experts.{layer}" for layer in ("net.0.proj", "net.2")]
    yield from perceptron_origins(f"{ours}.shared", (shared[0], shared[1]), config)
    sizes = config.width, config.mlp_width
    for layer, published, channels in (
        ("up", "net.0.proj", sizes),
        ("down", "net.2", sizes[::-1]),
    ):
        names = [f"{theirs}.experts.{number}.{published}" for number in range(config.experts)]
        for kind, shape in linear_shapes(*channels).items():
            tensors = {f"{name}.{kind}": shape for name in names}
            yield Origin(f"{ours}.{layer}.{kind}", tensors, torch.stack)


def _interleaved(
    ours: str, theirs: list[str], in_channels: int, config: PlainConfig
) -> Iterator[Origin]:
    """Yield projections whose outputs, one after the other, hold (heads, parts, head_width)."""
    parts = len(theirs)
    shapes = linear_shapes(in_channels, config.width, config.has_qkv_bias)

    def join(tensors: list[Tensor]) -> Tensor:
        by_head = torch.cat(tensors).unflatten(0, (config.heads, parts, config.head_width))
        by_part: Tensor = by_head.transpose(0, 1)
        return by_part.flatten(0, 2)

    for kind, shape in shapes.items():
        yield Origin(f"{ours}.{kind}", {f"{name}.{kind}": shape for name in theirs}, join)


def perceptron_origins(ours: str, theirs: tuple[str, str], config: PlainConfig) -> Iterator[Origin]:
    """Yield the origins of a ``Perceptron``, given the published names of its two layers."""
    yield from linear_origins(f"{ours}.up", theirs[0], config.width, config.mlp_width)
    yield from linear_origins(f"{ours}.down", theirs[1], config.mlp_width, config.width)


def linear_origins(
    ours: str, theirs: str, in_channels: int, out_channels: int, has_bias: bool = True
) -> Iterator[Origin]:
    """Yield the origins of a linear layer."""
    for kind, shape in linear_shapes(in_channels, out_channels, has_bias).items():
        yield Origin(f"{ours}.{kind}", {f"{theirs}.{kind}": shape}, as_it_is)


def norm_origins(ours: str, theirs: str, channels: int, has_bias: bool = True) -> Iterator[Origin]:
    """Yield the origins of a norm."""
    for kind in ("weight", "bias") if has_bias else ("weight",):
        yield Origin(f"{ours}.{kind}", {f"{theirs}.{kind}": torch.Size([channels])}, as_it_is)


def linear_shapes(
    in_channels: int, out_channels: int, has_bias: bool = True
) -> dict[str, torch.Size]:
    """Return the shapes of the tensors of a linear layer by the end of their names."""
    shapes = {"weight": torch.Size([out_channels, in_channels])}
    if has_bias:
        shapes["bias"] = torch.Size([out_channels])
    return shapes


def as_it_is(tensors: list[Tensor]) -> Tensor:
    """Join the one tensor that a parameter comes from."""
    return tensors[0]
