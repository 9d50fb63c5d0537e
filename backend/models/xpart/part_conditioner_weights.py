"""Published weights of the conditioner of parts, and how they fit ours. Imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from backend.models.hunyuan3d.plain_weights import (
    Origin,
    fold_origins,
    linear_origins,
    published_shapes,
)
from backend.models.sonata.sonata_weights import origins as feature_origins
from backend.models.xpart import point_set_weights
from backend.models.xpart.part_conditioner import PartConditionerConfig

_OBJECT, _PART = "obj_encoder.", "geo_encoder.local_encoder."
_FEATURES = "seg_feat_encoder."
# Both encoders are published as whole VAEs; a token that hides points is of use in training alone.
LEFT_OUT_PREFIXES = (
    *(f"{each}{left}" for each in (_OBJECT, _PART) for left in point_set_weights.LEFT_OUT_PREFIXES),
    f"{_FEATURES}sonata.embedding.mask_token",
)


def fold(state: Mapping[str, Tensor], config: PartConditionerConfig) -> dict[str, Tensor]:
    """Turn published weights into those of ``PartConditioner``.

    Parameters and errors are those of ``plain_weights.fold``.
    """
    return fold_origins(state, origins(config))


def upstream_shapes(config: PartConditionerConfig) -> dict[str, torch.Size]:
    """Return the shapes that a published checkpoint has, by name without prefix."""
    return published_shapes(origins(config))


def origins(config: PartConditionerConfig) -> Iterator[Origin]:
    """Yield the origin of each parameter."""
    yield from point_set_weights.origins(config.object_encoder, "object_encoder.", _OBJECT)
    yield from point_set_weights.origins(config.part_encoder, "part_encoder.", _PART)
    yield from feature_origins(config.features, "features.", _FEATURES)
    found = config.features.out_channels
    channels = config.object_encoder.width + found, config.object_channels
    yield from linear_origins("object_out", "obj_out_proj", *channels)
    channels = config.part_encoder.width + found, config.part_channels
    yield from linear_origins("part_out", "geo_out_proj", *channels)
