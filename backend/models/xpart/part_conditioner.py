"""What the denoiser of parts is told of the object and of each part. Imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from backend.models.attention import Attend, plain_attention
from backend.models.sonata.config import SonataConfig
from backend.models.sonata.point_features import PointFeatures
from backend.models.xpart.point_set_config import PointSetConfig
from backend.models.xpart.point_set_encoder import PointSetEncoder


@dataclass(frozen=True)
class PartConditionerConfig:
    """Sizes of the conditioner.

    Parameters
    ----------
    object_encoder, part_encoder : PointSetConfig
    features : SonataConfig
        Of what tells which points belong together.
    object_channels, part_channels : int
        Of a token of either context.
    """

    object_encoder: PointSetConfig
    part_encoder: PointSetConfig
    features: SonataConfig
    object_channels: int
    part_channels: int

    @classmethod
    def from_upstream(cls, params: Mapping[str, Any]) -> PartConditionerConfig:
        """Read the settings of the conditioner; unknown entries are ignored.

        Parameters
        ----------
        params : mapping
            ``vae_config`` for both encoders, ``sonata_config``, ``feat_dim``, ``obj_dim`` and
            ``geo_dim``; also ``feat_hidden`` where it is not ``feat_dim``.

        Raises
        ------
        KeyError
            A size is not told.
        ValueError
            They make no network.
        """
        encoder = PointSetConfig.from_upstream(params["vae_config"])
        found = int(params["feat_dim"])
        hidden = int(params.get("feat_hidden", found))
        features = {**params["sonata_config"], "feat_dim": found, "feat_hidden": hidden}
        return cls(
            object_encoder=encoder,
            part_encoder=encoder,
            features=SonataConfig.from_upstream(features),
            object_channels=int(params["obj_dim"]),
            part_channels=int(params["geo_dim"]),
        )


class PartConditioner(nn.Module):
    """Encodes the surface of an object once, and the surface of each part.

    ``features`` stays in float32 whatever the type of the other weights; it finds which places
    belong together, and every token learns what was found at its own place.
    ``backend.models.xpart.part_conditioner_weights`` fits published weights to it.

    Parameters
    ----------
    config : PartConditionerConfig
    attend : Attend

    Source
    ------
    Yan et al., X-Part (2025), section 3.
    """

    def __init__(self, config: PartConditionerConfig, attend: Attend = plain_attention) -> None:
        super().__init__()
        self.config = config
        self.object_encoder = PointSetEncoder(config.object_encoder, attend)
        self.part_encoder = PointSetEncoder(config.part_encoder, attend)
        self.features = PointFeatures(config.features, attend)
        found = config.features.out_channels
        self.object_out = nn.Linear(config.object_encoder.width + found, config.object_channels)
        self.part_out = nn.Linear(config.part_encoder.width + found, config.part_channels)

    def point_features(
        self, voxels: Tensor, cells: Tensor, inverse: Tensor, permutations: Tensor
    ) -> Tensor:
        """Tell of each point of the object what it belongs to; once per object.

        Parameters
        ----------
        voxels : Tensor, shape (m, 9) float32
            Of the object as it is, not of copies that were shifted since.
        cells : Tensor, shape (m, 3) int64
        inverse : Tensor, shape (n,) int64
            The voxel of each point.
        permutations : Tensor, shape (5, 4) int64

        Returns
        -------
        Tensor, shape (n, feature_channels) float32
        """
        found: Tensor = self.features(voxels, cells, permutations)
        return found[inverse]

    def object_context(
        self, surface: Tensor, chosen: Tensor, features: Tensor, order: Tensor | None = None
    ) -> Tensor:
        """Describe the object; the same for all of its parts.

        Parameters
        ----------
        surface : Tensor, shape (1, n, 7) float32
        chosen : Tensor, shape (1, tokens) int64
            Points of the object at which tokens begin: see ``chosen_points``.
        features : Tensor, shape (n, feature_channels) float32
            From ``point_features``. A token begins at a point of the object, so it is its own
            nearest one.
        order : Tensor, shape (n,) int64, optional
            See ``PointSetEncoder``.

        Returns
        -------
        Tensor, shape (1, tokens, object_channels), in the dtype of the weights
        """
        tokens = self.object_encoder(surface, chosen, order)
        return joined_context(tokens, features[chosen], self.object_out)

    def part_context(
        self,
        surfaces: Tensor,
        chosen: Tensor,
        features: Tensor,
        nearest: Tensor,
        order: Tensor | None = None,
    ) -> Tensor:
        """Describe some parts, each for itself.

        Parameters
        ----------
        surfaces : Tensor, shape (k, points, 7) float32
            Any number at once: they do not change each other's result.
        chosen : Tensor, shape (k, tokens) int64
            Points of the parts at which tokens begin.
        features : Tensor, shape (n, feature_channels) float32
            From ``point_features``.
        nearest : Tensor, shape (k, tokens) int64
            The point of the object that is nearest to each: see ``nearest_points``.
        order : Tensor, shape (points,) int64, optional
            See ``PointSetEncoder``.

        Returns
        -------
        Tensor, shape (k, tokens, part_channels), in the dtype of the weights
        """
        tokens = self.part_encoder(surfaces, chosen, order)
        return joined_context(tokens, features[nearest], self.part_out)


def joined_context(tokens: Tensor, features: Tensor, out: nn.Module) -> Tensor:
    """Join tokens of an encoder with what was found at their places.

    Parameters
    ----------
    tokens : Tensor, shape (..., width)
    features : Tensor, shape (..., feature_channels) float32
    out : nn.Module
        ``object_out`` or ``part_out``.

    Returns
    -------
    Tensor, shape (..., channels), in the dtype of ``tokens``
    """
    context: Tensor = out(torch.cat([tokens, features.to(tokens.dtype)], dim=-1))
    return context
