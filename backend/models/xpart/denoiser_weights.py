"""Published names of the weights of the denoiser of X-Part. Imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from backend.models.hunyuan3d import plain_weights
from backend.models.hunyuan3d.plain_weights import (
    Origin,
    as_it_is,
    cross_attention_origins,
    fold_origins,
    norm_origins,
    published_shapes,
)
from backend.models.xpart.denoiser_config import PartDenoiserConfig


def fold(state: Mapping[str, Tensor], config: PartDenoiserConfig) -> dict[str, Tensor]:
    """Turn published weights into those of ``PartDenoiser``.

    Projections to queries, keys and values become one whose output lies as attention wants it.
    Experts are stacked. Everything else is passed on without a copy.

    Parameters and errors are those of ``plain_weights.fold``.
    """
    return fold_origins(state, origins(config))


def upstream_shapes(config: PartDenoiserConfig) -> dict[str, torch.Size]:
    """Return the shapes that a published checkpoint has, by name without prefix."""
    return published_shapes(origins(config))


def origins(config: PartDenoiserConfig) -> Iterator[Origin]:
    """Yield the origin of each parameter: those of Hunyuan3D 2.1 and what is added to them."""
    width = config.trunk.width
    yield from plain_weights.origins(config.trunk)
    rows = torch.Size([config.part_rows, width])
    yield Origin("part_table", {"part_embed": rows}, as_it_is)
    for number in range(config.trunk.depth):
        block = f"blocks.{number}"
        yield from norm_origins(f"{block}.part_norm", f"{block}.norm2_2", width)
        yield from cross_attention_origins(
            f"{block}.part_attention", f"{block}.attn2_2", config.for_part_context
        )
