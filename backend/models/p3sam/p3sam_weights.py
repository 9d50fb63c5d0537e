"""Published names of the weights of P3-SAM, and what becomes of them. Imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from backend.models.hunyuan3d.plain_weights import Origin, fold_origins, published_shapes
from backend.models.p3sam.config import P3SamConfig
from backend.models.p3sam.heads_weights import heads_origins
from backend.models.sonata import sonata_weights


def fold(state: Mapping[str, Tensor], config: P3SamConfig) -> dict[str, Tensor]:
    """Turn published weights into those of ``P3Sam``.

    First layers are taken apart into what they make of features, of points, of prompts and of
    masks; each of these is then one layer for all perceptrons.

    Parameters and errors are those of ``plain_weights.fold``.
    """
    return fold_origins(state, origins(config))


def upstream_shapes(config: P3SamConfig) -> dict[str, torch.Size]:
    """Return the shapes that a published checkpoint has, by name without prefix."""
    return published_shapes(origins(config))


def origins(config: P3SamConfig) -> Iterator[Origin]:
    """Yield the origin of each parameter."""
    yield from sonata_weights.origins(config.features, "features.", "")
    yield from heads_origins(config.heads, "heads.")
