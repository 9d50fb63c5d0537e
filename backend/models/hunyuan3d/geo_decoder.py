"""The geometry decoder: tells of points whether they are inside a shape. Imports torch."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from backend.models.attention import Attend, plain_attention
from backend.models.hunyuan3d.savings import ALL_SAVINGS, Savings
from backend.models.hunyuan3d.shape_vae_config import GeoDecoderConfig
from backend.models.hunyuan3d.shape_vae_layers import NORM_OUT_EPS, CrossBlock, GeoKeys


class GeoDecoder(CrossBlock):
    """One layer of cross-attention from points to the tokens of a shape.

    Source
    ------
    Zhang et al., 3DShape2VecSet (2023), section 4.3; Hunyuan3D 2.0 technical report (2025).
    """

    def __init__(self, config: GeoDecoderConfig, attend: Attend = plain_attention) -> None:
        super().__init__(config, attend, config.mlp_ratio)
        width = config.width
        self.config = config
        is_narrower = config.width != config.token_width
        self.tokens_in = nn.Linear(config.token_width, width) if is_narrower else nn.Identity()
        self.points_in = nn.Linear(config.feature_channels, width)
        self.norm_out = (
            nn.LayerNorm(width, eps=NORM_OUT_EPS) if config.has_norm_out else nn.Identity()
        )
        self.out = nn.Linear(width, 1)

    def keys(self, tokens: Tensor) -> GeoKeys:
        """Compute keys and values, which no point changes: once per shape.

        Parameters
        ----------
        tokens : Tensor, shape (batch, tokens, token_width)
        """
        return self.keys_of(self.tokens_in(tokens))

    def embedded(self, points: Tensor) -> Tensor:
        """Carry points over to the channels of the decoder.

        Parameters
        ----------
        points : Tensor, shape (batch, points, 3) float32

        Returns
        -------
        Tensor, shape (batch, points, width), in the dtype of the weights
        """
        features = fourier_features(points, self.config.frequencies, self.config.include_pi)
        embedded: Tensor = self.points_in(features.to(self.points_in.weight.dtype))
        return embedded

    def forward(self, points: Tensor, keys: GeoKeys) -> Tensor:
        """Tell how far inside points are.

        Parameters
        ----------
        points : Tensor, shape (batch, points, 3) float32
        keys : GeoKeys
            All of a shape, or those that matter to these points.

        Returns
        -------
        Tensor, shape (batch, points) float32
            Above 0 inside, below 0 outside.

        Raises
        ------
        ValueError
            The points are not float32.
        """
        h = self.attended(self.embedded(points), keys)
        answers: Tensor = self.out(self.norm_out(h))
        return answers.squeeze(-1).float()


def fourier_features(points: Tensor, frequencies: int, include_pi: bool) -> Tensor:
    """Return coordinates beside their sines and cosines at rising frequencies.

    Parameters
    ----------
    points : Tensor, shape (..., 3) float32
    frequencies : int
        Each is twice the one before; the first is 1, or pi.

    Returns
    -------
    Tensor, shape (..., 3 + 6 * frequencies) float32
        x, y, z; then all sines, those of x first; then all cosines.

    Raises
    ------
    ValueError
        The points are not float32: at the highest frequency a rounded coordinate means another
        place.

    Source
    ------
    Mildenhall et al., NeRF (2020), section 5.1.
    """
    if points.dtype != torch.float32:
        raise ValueError(f"points must be float32, not {points.dtype}")
    octaves = (2 ** torch.arange(frequencies, device=points.device)).float()
    angles = points[..., None] * (octaves * math.pi if include_pi else octaves)
    angles = angles.flatten(-2)
    return torch.cat([points, angles.sin(), angles.cos()], dim=-1)


def field_of(
    decoder: GeoDecoder, tokens: Tensor, savings: Savings = ALL_SAVINGS
) -> Callable[[Tensor], Tensor]:
    """Return the field of one shape.

    Parameters
    ----------
    decoder : GeoDecoder
    tokens : Tensor, shape (1, tokens, token_width)
    savings : Savings
        Without ``grid_keys``, keys and values are computed anew for each call.

    Returns
    -------
    callable
        Takes points, shape (n, 3) float32, and returns n values float32.
    """
    if not savings.grid_keys:
        return lambda points: decoder(points[None], decoder.keys(tokens))[0]
    keys = decoder.keys(tokens)
    return lambda points: decoder(points[None], keys)[0]
