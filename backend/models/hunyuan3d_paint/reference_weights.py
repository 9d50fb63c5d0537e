"""Published names of the weights of ``ReferenceUnet``. Imports torch.

A published file holds two networks; names are those of the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from backend.models.hunyuan3d.plain_weights import (
    Origin,
    fold_origins,
    norm_origins,
    published_shapes,
)
from backend.models.hunyuan3d_paint.paint_config import PaintConfig
from backend.models.hunyuan3d_paint.paint_weights import text_shape
from backend.models.hunyuan3d_paint.unet_layout import Transformer, UnetLayout
from backend.models.hunyuan3d_paint.unet_origins import (
    end_origins,
    entry_origins,
    text_block,
    trunk_origins,
    without_batch,
)

PREFIX = "unet_dual."


def fold(state: Mapping[str, Tensor], config: PaintConfig) -> dict[str, Tensor]:
    """Turn published weights into those of ``ReferenceUnet``; as ``paint_weights.fold``.

    What follows the last features has no effect and is not read.
    """
    return fold_origins(state, _origins(config))


def upstream_shapes(config: PaintConfig) -> dict[str, torch.Size]:
    """Return the shapes that a published file has for this network, also of what is not read."""
    published = published_shapes(_all(config))
    return {**published, **published_shapes(end_origins(config.unet, PREFIX))}


def _all(config: PaintConfig) -> Iterator[Origin]:
    """Yield the origins as if the last transformer were one of the others."""
    plain = text_block(config.unet.text_width)

    def block(one: Transformer, ours: str, theirs: str) -> Iterator[Origin]:
        return plain(one, ours, f"{theirs}.transformer")

    yield from trunk_origins(config.unet, PREFIX, block)
    texts = {"unet.learned_text_clip_ref": text_shape(config)}
    yield Origin("text", texts, without_batch)


def _origins(config: PaintConfig) -> Iterator[Origin]:
    up = UnetLayout(config.unet).up
    number, level = next((n, up[n]) for n in reversed(range(len(up))) if up[n].transformers)
    last = f"up.{number}.transformers.{len(level.transformers) - 1}"
    for origin in _all(config):
        if not origin.name.startswith(f"{last}."):
            yield origin
    published = f"{PREFIX}up_blocks.{number}.attentions.{len(level.transformers) - 1}"
    one = level.transformers[-1]
    yield from entry_origins(last, one, published)
    norm = f"{published}.transformer_blocks.0.transformer.norm1"
    yield from norm_origins(f"{last}.norm1", norm, one.width)
