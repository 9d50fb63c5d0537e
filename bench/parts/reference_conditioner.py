"""The published way to describe an object and its parts: the object once for every part.

Imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.parts.reference_layers import (
    WIDE_EPSILON,
    State,
    attention,
    fourier,
    layer_norm,
    linear,
    perceptron,
    under,
)


@dataclass(frozen=True)
class EncodedSurfaces:
    """What an encoder of surfaces returns.

    Parameters
    ----------
    tokens : Tensor, shape (surfaces, tokens, width)
    places : Tensor, shape (surfaces, tokens, 3)
        Points that the tokens stand for.
    """

    tokens: Tensor
    places: Tensor


def farthest(points: Tensor, count: int) -> Tensor:
    """Choose points far from each other, one by one, from the first on.

    Parameters
    ----------
    points : Tensor, shape (n, 3)

    Returns
    -------
    Tensor, shape (count,) int64
    """
    exact = points.double()
    chosen = torch.zeros(count, dtype=torch.int64, device=points.device)
    nearest = torch.full((len(exact),), torch.inf, dtype=torch.float64, device=points.device)
    for place in range(1, count):
        apart = (exact - exact[chosen[place - 1]]).square().sum(1)
        nearest = torch.minimum(nearest, apart)
        chosen[place] = nearest.argmax()
    return chosen


def encoded_surfaces(
    state: State, config: Mapping[str, Any], surfaces: Tensor, permutation: Tensor
) -> EncodedSurfaces:
    """Encode surfaces.

    Parameters
    ----------
    state : mapping
        ``encoder.*``.
    config : mapping
        Of the shape VAE, in the published words.
    surfaces : Tensor, shape (surfaces, points, 7)
    permutation : Tensor, shape (points,) int64
        The first of it are drawn: no other point is looked at.

    Source
    ------
    3DShape2VecSet (2023); X-Part: High Fidelity and Structure Coherent Shape Decomposition (2025).
    """
    features = torch.cat(
        [fourier(surfaces[..., :3], config["num_freqs"]), surfaces[..., 3:]], dim=-1
    )
    candidates = permutation[: config["num_latents"] * config.get("downsample_ratio", 20)]
    rows = torch.stack(
        [candidates[farthest(each[candidates, :3], config["num_latents"])] for each in surfaces]
    )
    chosen = torch.stack([each[row] for each, row in zip(features, rows, strict=True)])
    heads = config["heads"]
    x = linear(state, "encoder.input_proj", chosen)
    data = linear(state, "encoder.input_proj", features[:, candidates])
    x = cross_block(state, "encoder.cross_attn", x, data, heads)
    for layer in range(config["num_encoder_layers"]):
        x = self_block(state, f"encoder.self_attn.resblocks.{layer}", x, heads)
    places = torch.stack([each[row, :3] for each, row in zip(surfaces, rows, strict=True)])
    return EncodedSurfaces(layer_norm(state, "encoder.ln_post", x, WIDE_EPSILON), places)


def cross_block(state: State, name: str, x: Tensor, data: Tensor, heads: int) -> Tensor:
    """Attend from tokens to data, then a perceptron."""
    q = linear(state, f"{name}.attn.c_q", layer_norm(state, f"{name}.ln_1", x))
    kv = linear(state, f"{name}.attn.c_kv", layer_norm(state, f"{name}.ln_2", data))
    k, v = kv.unflatten(-1, (heads, -1)).chunk(2, dim=-1)
    seen = _normed_attention(state, f"{name}.attn", q.unflatten(-1, (heads, -1)), k, v)
    x = x + seen
    normed = layer_norm(state, f"{name}.ln_3", x)
    return x + perceptron(state, f"{name}.mlp.c_fc", f"{name}.mlp.c_proj", normed)


def self_block(state: State, name: str, x: Tensor, heads: int) -> Tensor:
    """Attend among tokens, then a perceptron."""
    qkv = linear(state, f"{name}.attn.c_qkv", layer_norm(state, f"{name}.ln_1", x))
    q, k, v = qkv.unflatten(-1, (heads, -1)).chunk(3, dim=-1)
    x = x + _normed_attention(state, f"{name}.attn", q, k, v)
    normed = layer_norm(state, f"{name}.ln_2", x)
    return x + perceptron(state, f"{name}.mlp.c_fc", f"{name}.mlp.c_proj", normed)


def _normed_attention(state: State, name: str, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q = layer_norm(state, f"{name}.attention.q_norm", q)
    k = layer_norm(state, f"{name}.attention.k_norm", k)
    return linear(state, f"{name}.c_proj", attention(q, k, v))


def contexts(
    state: State,
    config: Mapping[str, Any],
    object_surface: Tensor,
    part_surfaces: Tensor,
    semantics: Tensor,
    permutations: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor]:
    """Describe the object, once per part, and the parts.

    Parameters
    ----------
    object_surface : Tensor, shape (1, points, 7)
    part_surfaces : Tensor, shape (parts, points, 7)
    semantics : Tensor, shape (points, channels)
        Features of the points of the object.
    permutations : two of Tensor, shape (points,) int64
        Of the parts, and of the object.

    Returns
    -------
    object_contexts, part_contexts : Tensor, shape (parts, tokens, channels)
    """
    repeated = object_surface.expand(len(part_surfaces), -1, -1)
    parts = encoded_surfaces(
        under(state, "geo_encoder.local_encoder."), config, part_surfaces, permutations[0]
    )
    whole = encoded_surfaces(under(state, "obj_encoder."), config, repeated, permutations[1])
    return (
        _with_semantics(state, "obj_out_proj", whole, repeated, semantics),
        _with_semantics(state, "geo_out_proj", parts, repeated, semantics),
    )


def _with_semantics(
    state: State, name: str, encoded: EncodedSurfaces, surfaces: Tensor, semantics: Tensor
) -> Tensor:
    """Add the features of the nearest point, found among all distances at once."""
    nearest = torch.cdist(encoded.places, surfaces[..., :3]).argmin(-1)
    return linear(state, name, torch.cat([encoded.tokens, semantics[nearest]], dim=-1))
