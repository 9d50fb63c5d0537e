"""Published names of the weights of the text encoder, and what becomes of them. Imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from backend.models.clip_text import ClipTextConfig
from backend.models.hunyuan3d.plain_weights import (
    Origin,
    as_it_is,
    fold_origins,
    linear_origins,
    linear_shapes,
    norm_origins,
    published_shapes,
)


def fold(state: Mapping[str, Tensor], config: ClipTextConfig) -> dict[str, Tensor]:
    """Turn published weights into those of ``ClipText``; query, key and value are fused.

    Raises
    ------
    KeyError
        A tensor is missing; its published name.
    """
    return fold_origins(state, _origins(config))


def upstream_shapes(config: ClipTextConfig) -> dict[str, torch.Size]:
    """Return the published names, without a prefix, and shapes."""
    return published_shapes(_origins(config))


def _origins(config: ClipTextConfig) -> Iterator[Origin]:
    width = config.width
    words, positions = (config.vocabulary, width), (config.tokens, width)
    yield _same("words", "embeddings.token_embedding.weight", words)
    yield _same("positions", "embeddings.position_embedding.weight", positions)
    yield from norm_origins("norm", "final_layer_norm", width)
    for layer in range(config.layers):
        yield from _of_layer(config, f"encoder.layers.{layer}.", f"layers.{layer}.")


def _of_layer(config: ClipTextConfig, theirs: str, ours: str) -> Iterator[Origin]:
    width, wide = config.width, config.mlp_width
    yield from norm_origins(f"{ours}attention_norm", f"{theirs}layer_norm1", width)
    yield from norm_origins(f"{ours}mlp_norm", f"{theirs}layer_norm2", width)
    yield from linear_origins(f"{ours}out", f"{theirs}self_attn.out_proj", width, width)
    yield from linear_origins(f"{ours}widen", f"{theirs}mlp.fc1", width, wide)
    yield from linear_origins(f"{ours}narrow", f"{theirs}mlp.fc2", wide, width)
    for kind, shape in linear_shapes(width, width).items():
        names = {f"{theirs}self_attn.{part}_proj.{kind}": shape for part in "qkv"}
        yield Origin(f"{ours}qkv.{kind}", names, torch.cat)


def _same(ours: str, theirs: str, shape: tuple[int, ...]) -> Origin:
    return Origin(ours, {theirs: torch.Size(shape)}, as_it_is)
