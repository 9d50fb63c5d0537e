"""Published weights of the encoder of a surface, and how they fit ours. Imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from backend.models.hunyuan3d.plain_weights import Join, Origin, fold_origins, published_shapes
from backend.models.hunyuan3d.shape_vae_weights import (
    CROSS_BLOCK_PARTS,
    SELF_BLOCK_PARTS,
    heads_inside,
)
from backend.models.xpart.point_set_config import PointSetConfig
from backend.models.xpart.point_set_encoder import PointSetEncoder

# Of the published VAEs, of which surfaces need the encoder alone.
LEFT_OUT_PREFIXES = ("pre_kl.", "post_kl.", "transformer.", "geo_decoder.")

_PUBLISHED_PARTS = {
    "points_in": "input_proj",
    "norm_out": "ln_post",
    **{f"cross.{ours}": f"cross_attn.{name}" for ours, name in CROSS_BLOCK_PARTS.items()},
}


def fold(state: Mapping[str, Tensor], config: PointSetConfig) -> dict[str, Tensor]:
    """Turn published weights of a shape VAE into those of ``PointSetEncoder``.

    Parameters and errors are those of ``plain_weights.fold``.
    """
    return fold_origins(state, origins(config))


def upstream_shapes(config: PointSetConfig) -> dict[str, torch.Size]:
    """Return the shapes that a published checkpoint has, by name without prefix."""
    return published_shapes(origins(config))


def origins(config: PointSetConfig, ours: str = "", theirs: str = "") -> Iterator[Origin]:
    """Yield the origin of each parameter.

    Parameters
    ----------
    ours, theirs : str
        What our names and the published ones begin with.
    """
    with torch.device("meta"):
        shapes = {name: each.shape for name, each in PointSetEncoder(config).state_dict().items()}
    for name, shape in shapes.items():
        published = f"{theirs}encoder.{_published(name)}"
        yield Origin(f"{ours}{name}", {published: shape}, _join(name, config.heads))


def _published(name: str) -> str:
    """Return the published name of a tensor of ours."""
    place, _, kind = name.rpartition(".")
    if place in _PUBLISHED_PARTS:
        return f"{_PUBLISHED_PARTS[place]}.{kind}"
    number, _, part = place.removeprefix("blocks.").partition(".")
    return f"self_attn.resblocks.{number}.{SELF_BLOCK_PARTS[part]}.{kind}"


def _join(name: str, heads: int) -> Join:
    parts = {"kv": 2, "qkv": 3}.get(name.rpartition(".")[0].rpartition(".")[2], 1)

    def join(tensors: list[Tensor]) -> Tensor:
        return heads_inside(tensors[0], heads, parts) if parts > 1 else tensors[0]

    return join
