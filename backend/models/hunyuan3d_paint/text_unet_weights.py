"""Published names of the weights of ``TextUnet``. Imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from backend.models.hunyuan3d.plain_weights import Origin, fold_origins, published_shapes
from backend.models.hunyuan3d_paint.unet_config import UnetConfig
from backend.models.hunyuan3d_paint.unet_origins import end_origins, text_block, trunk_origins


def fold(state: Mapping[str, Tensor], config: UnetConfig) -> dict[str, Tensor]:
    """Turn published weights into those of ``TextUnet``; as ``paint_weights.fold``."""
    return fold_origins(state, _origins(config))


def upstream_shapes(config: UnetConfig) -> dict[str, torch.Size]:
    """Return the shapes that a published checkpoint has, by name."""
    return published_shapes(_origins(config))


def _origins(config: UnetConfig) -> Iterator[Origin]:
    yield from trunk_origins(config, "", text_block(config.text_width))
    yield from end_origins(config, "")
