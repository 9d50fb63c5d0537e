"""From points on a surface to tokens that describe it. Imports torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from backend.models.attention import Attend, plain_attention
from backend.models.hunyuan3d.geo_decoder import fourier_features
from backend.models.hunyuan3d.shape_vae_layers import NORM_OUT_EPS, CrossBlock, SelfBlock
from backend.models.p3sam.farthest_points import farthest_points
from backend.models.xpart.point_set_config import AXES, PointSetConfig

# Products of queries and keys in one call of attention: a backend that holds all of them takes two
# or four GB for so many.
MOST_SCORES = 1 << 30


class PointSetEncoder(nn.Module):
    """Lets some points of a surface look at all of them, and then at each other.

    ``backend.models.xpart.point_set_weights`` fits published weights to it.

    Parameters
    ----------
    config : PointSetConfig
    attend : Attend
        A call is given all points of a surface as keys, and some tokens.

    Source
    ------
    Zhang et al., 3DShape2VecSet (2023), section 4.1; Hunyuan3D 2.0 technical report (2025).
    """

    def __init__(self, config: PointSetConfig, attend: Attend = plain_attention) -> None:
        super().__init__()
        self.config = config
        self.points_in = nn.Linear(config.feature_channels, config.width)
        self.cross = CrossBlock(config, attend)
        self.blocks = nn.ModuleList(SelfBlock(config, attend) for _ in range(config.layers))
        self.norm_out = nn.LayerNorm(config.width, eps=NORM_OUT_EPS)

    def embedded(self, surfaces: Tensor) -> Tensor:
        """Carry points over to the channels of the encoder.

        Parameters
        ----------
        surfaces : Tensor, shape (batch, points, 3 + point_channels) float32

        Returns
        -------
        Tensor, shape (batch, points, width), in the dtype of the weights
        """
        places, told = surfaces[..., :AXES].contiguous(), surfaces[..., AXES:]
        waves = fourier_features(places, self.config.frequencies, self.config.include_pi)
        features = torch.cat([waves, told], dim=-1).to(self.points_in.weight.dtype)
        embedded: Tensor = self.points_in(features)
        return embedded

    def forward(self, surfaces: Tensor, chosen: Tensor, order: Tensor | None = None) -> Tensor:
        """Describe surfaces.

        Parameters
        ----------
        surfaces : Tensor, shape (batch, points, 3 + point_channels) float32
            x, y, z, the unit normal, and 1 on a sharp edge, else 0.
        chosen : Tensor, shape (batch, tokens) int64
            The points at which tokens begin: see ``chosen_points``.
        order : Tensor, shape (points,) int64, optional
            What they were chosen by. Tokens look at the first of it, among which they begin, or
            at all points if absent; at the released sizes those are the same.

        Returns
        -------
        Tensor, shape (batch, tokens, width), in the dtype of the weights

        Raises
        ------
        ValueError
            The surfaces are not float32.
        """
        embedded = self.embedded(surfaces)
        own = embedded.gather(1, chosen[..., None].expand(-1, -1, embedded.shape[-1]))
        if order is not None:
            embedded = embedded[:, _candidates(order, self.config).to(embedded.device)]
        keys = self.cross.keys_of(embedded)
        rows = self._rows_per_call(len(surfaces), embedded.shape[1])
        tokens = torch.cat([self.cross.attended(part, keys) for part in own.split(rows, 1)], 1)
        for block in self.blocks:
            tokens = block(tokens)
        out: Tensor = self.norm_out(tokens)
        return out

    def _rows_per_call(self, batch: int, points: int) -> int:
        """Return how many tokens look at all points at once: a power of two."""
        fitting = max(1, MOST_SCORES // (batch * self.config.heads * points))
        return 1 << (fitting.bit_length() - 1)


def chosen_points(surfaces: Tensor, order: Tensor, config: PointSetConfig) -> Tensor:
    """Choose points at which tokens begin: of the first of a random order, those far apart.

    Parameters
    ----------
    surfaces : Tensor, shape (batch, points, 3 or more)
        Coordinates first.
    order : Tensor, shape (points,) int64
        A permutation, drawn by ``surface_order``. The first in it is the first that is chosen.
    config : PointSetConfig

    Returns
    -------
    Tensor, shape (batch, tokens) int64
        Indices of points of ``surfaces``.
    """
    candidates = _candidates(order, config).to(surfaces.device)
    places = surfaces[:, candidates, :AXES]
    return candidates[farthest_points(places, min(config.tokens, len(candidates)), 0)]


def surface_order(seed: int, points: int) -> Tensor:
    """Draw the order in which the points of surfaces are looked at, (points,) int64."""
    return torch.randperm(points, generator=torch.Generator("cpu").manual_seed(seed))


def _candidates(order: Tensor, config: PointSetConfig) -> Tensor:
    return order[: config.tokens * config.candidates_per_token]
