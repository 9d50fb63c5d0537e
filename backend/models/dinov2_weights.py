"""Published names of the weights of DINOv2, which are those of transformers 4, and ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from backend.models.dinov2 import Dinov2Config

_OUTSIDE = {
    "embeddings.cls_token": "class_token",
    "embeddings.position_embeddings": "positions",
    "embeddings.patch_embeddings.projection.weight": "patches.weight",
    "embeddings.patch_embeddings.projection.bias": "patches.bias",
    "layernorm.weight": "norm.weight",
    "layernorm.bias": "norm.bias",
}
_NORMS_AND_SCALES = {
    "norm1.weight": "attention_norm.weight",
    "norm1.bias": "attention_norm.bias",
    "layer_scale1.lambda1": "attention_scale",
    "norm2.weight": "mlp_norm.weight",
    "norm2.bias": "mlp_norm.bias",
    "layer_scale2.lambda1": "mlp_scale",
}
_PLAIN_MLP = ("fc1", "fc2")
_GATED_MLP = ("weights_in", "weights_out")
_QKV = ("query", "key", "value")
_KINDS = ("weight", "bias")


def fold(state: Mapping[str, Tensor], config: Dinov2Config) -> dict[str, Tensor]:
    """Turn published weights into those of ``Dinov2``.

    The mask token serves training only and is left out, as is what is not known.

    Parameters
    ----------
    state : mapping
        By published name, without a prefix.

    Returns
    -------
    dict
        Query, key and value are fused, and positions are resampled where pictures have another
        size; everything else is passed on without a copy.

    Raises
    ------
    KeyError
        A tensor is missing; its published name.
    """
    folded = {ours: state[theirs] for theirs, ours in _renamed(config)}
    if config.tokens != config.published_tokens:
        folded["positions"] = _resampled(folded["positions"], config)
    for layer in range(config.layers):
        for kind in _KINDS:
            parts = [state[_attention_name(layer, part, kind)] for part in _QKV]
            folded[f"layers.{layer}.qkv.{kind}"] = torch.cat(parts)
    return folded


def _resampled(positions: Tensor, config: Dinov2Config) -> Tensor:
    """Resample positions as the library transformers does in every call: bicubic, in float32."""
    class_token, patches = positions[:, :1], positions[:, 1:]
    trained = config.image_px // config.patch_px
    side = config.given_px // config.patch_px
    grid = patches.float().unflatten(1, (trained, trained)).permute(0, 3, 1, 2)
    resampled = functional.interpolate(grid, (side, side), mode="bicubic", align_corners=False)
    tokens = resampled.flatten(2).transpose(1, 2).to(positions.dtype)
    return torch.cat([class_token, tokens], dim=1)


def _renamed(config: Dinov2Config) -> Iterator[tuple[str, str]]:
    """Pairs of a published name and ours."""
    yield from _OUTSIDE.items()
    widen, narrow = _GATED_MLP if config.is_gated else _PLAIN_MLP
    for layer in range(config.layers):
        theirs, ours = f"encoder.layer.{layer}", f"layers.{layer}"
        for published, own in _NORMS_AND_SCALES.items():
            yield f"{theirs}.{published}", f"{ours}.{own}"
        for kind in _KINDS:
            yield f"{theirs}.attention.output.dense.{kind}", f"{ours}.out.{kind}"
            yield f"{theirs}.mlp.{widen}.{kind}", f"{ours}.mlp.widen.{kind}"
            yield f"{theirs}.mlp.{narrow}.{kind}", f"{ours}.mlp.narrow.{kind}"


def _attention_name(layer: int, part: str, kind: str) -> str:
    return f"encoder.layer.{layer}.attention.attention.{part}.{kind}"


def upstream_shapes(config: Dinov2Config) -> dict[str, torch.Size]:
    """Return the published names, without a prefix, and shapes; the mask token included."""
    width = config.width
    patch = (width, config.colours, config.patch_px, config.patch_px)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.cls_token": (1, 1, width),
        "embeddings.mask_token": (1, width),
        "embeddings.position_embeddings": (1, config.published_tokens, width),
        "embeddings.patch_embeddings.projection.weight": patch,
        "embeddings.patch_embeddings.projection.bias": (width,),
        "layernorm.weight": (width,),
        "layernorm.bias": (width,),
    }
    for layer in range(config.layers):
        for name, shape in _layer_shapes(config).items():
            shapes[f"encoder.layer.{layer}.{name}"] = shape
    return {name: torch.Size(shape) for name, shape in shapes.items()}


def _layer_shapes(config: Dinov2Config) -> dict[str, tuple[int, ...]]:
    """Names and shapes of one layer."""
    width, hidden = config.width, config.hidden_width
    widen, narrow = _GATED_MLP if config.is_gated else _PLAIN_MLP
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(_NORMS_AND_SCALES, (width,))
    linear = {f"attention.attention.{part}": (width, width) for part in _QKV}
    linear["attention.output.dense"] = (width, width)
    linear[f"mlp.{widen}"] = (2 * hidden if config.is_gated else hidden, width)
    linear[f"mlp.{narrow}"] = (width, hidden)
    for name, shape in linear.items():
        shapes[f"{name}.weight"] = shape
        shapes[f"{name}.bias"] = shape[:1]
    return shapes
