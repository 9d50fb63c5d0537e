"""Published weights of the shape decoder, and how they fit ours. Imports torch."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from backend.models.hunyuan3d.shape_vae import ShapeVae
from backend.models.hunyuan3d.shape_vae_config import ShapeVaeConfig

# Parts of published files that no shape from a picture needs.
LEFT_OUT_PREFIXES = ("encoder.", "pre_kl.")

# Published names of the parts of one layer, and of the one with which tokens look at others.
SELF_BLOCK_PARTS = {
    "attention_norm": "ln_1",
    "qkv": "attn.c_qkv",
    "q_norm": "attn.attention.q_norm",
    "k_norm": "attn.attention.k_norm",
    "attention_out": "attn.c_proj",
    "mlp_norm": "ln_2",
    "mlp.wide": "mlp.c_fc",
    "mlp.narrow": "mlp.c_proj",
}
CROSS_BLOCK_PARTS = {
    "query_norm": "ln_1",
    "key_norm": "ln_2",
    "mlp_norm": "ln_3",
    "q": "attn.c_q",
    "kv": "attn.c_kv",
    "q_norm": "attn.attention.q_norm",
    "k_norm": "attn.attention.k_norm",
    "attention_out": "attn.c_proj",
    "mlp.wide": "mlp.c_fc",
    "mlp.narrow": "mlp.c_proj",
}
_PUBLISHED_PARTS = {
    "transformer.latents_in": "post_kl",
    "transformer.blocks": "transformer.resblocks",
    **SELF_BLOCK_PARTS,
}
_PUBLISHED_GEO_PARTS = {
    "tokens_in": "geo_decoder.latents_proj",
    "points_in": "geo_decoder.query_proj",
    "norm_out": "geo_decoder.ln_post",
    "out": "geo_decoder.output_proj",
    **{ours: f"geo_decoder.cross_attn_decoder.{name}" for ours, name in CROSS_BLOCK_PARTS.items()},
}


def upstream_shapes(config: ShapeVaeConfig) -> dict[str, torch.Size]:
    """Return the names and shapes of the published tensors that ``fold`` takes."""
    return {_published(name): shape for name, shape in _own_shapes(config).items()}


def fold(state: Mapping[str, Tensor], config: ShapeVaeConfig) -> dict[str, Tensor]:
    """Turn published weights into those of ``ShapeVae``.

    Parameters
    ----------
    state : mapping of published names to tensors
        Names that are not among ``upstream_shapes`` are left out.

    Returns
    -------
    dict
        For ``ShapeVae(config).load_state_dict``. Only fused queries, keys and values are copied.

    Raises
    ------
    KeyError
        With the published name of a tensor that is missing.
    """
    return {name: _fitted(name, state[_published(name)], config) for name in _own_shapes(config)}


def _own_shapes(config: ShapeVaeConfig) -> dict[str, torch.Size]:
    with torch.device("meta"):
        return {name: each.shape for name, each in ShapeVae(config).state_dict().items()}


def _published(name: str) -> str:
    """Return the published name of a tensor of ours."""
    place, _, kind = name.rpartition(".")
    if place.startswith("geo_decoder."):
        return f"{_PUBLISHED_GEO_PARTS[place.removeprefix('geo_decoder.')]}.{kind}"
    if place in _PUBLISHED_PARTS:
        return f"{_PUBLISHED_PARTS[place]}.{kind}"
    blocks = "transformer.blocks"
    number, _, part = place.removeprefix(f"{blocks}.").partition(".")
    return f"{_PUBLISHED_PARTS[blocks]}.{number}.{_PUBLISHED_PARTS[part]}.{kind}"


def _fitted(name: str, tensor: Tensor, config: ShapeVaeConfig) -> Tensor:
    place = name.rpartition(".")[0]
    if place == "geo_decoder.kv":
        return heads_inside(tensor, config.geo.heads, 2)
    if place.endswith(".qkv"):
        return heads_inside(tensor, config.heads, 3)
    return tensor


def heads_inside(fused: Tensor, heads: int, parts: int) -> Tensor:
    """Put all queries first, then all keys, then all values; published rows go head by head."""
    by_head: Tensor = fused.unflatten(0, (heads, parts, -1))
    return by_head.transpose(0, 1).flatten(0, 2)
