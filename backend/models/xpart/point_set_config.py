"""How large the encoder of a surface is, by its published settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

AXES = 3


@dataclass(frozen=True)
class PointSetConfig:
    """Sizes of the network from points on a surface to tokens.

    Parameters
    ----------
    tokens : int
        What a surface becomes; each begins at a point of it.
    width, heads, layers : int
        Of the transformer.
    has_head_norms, qkv_bias : bool
        Of the transformer.
    frequencies : int
        Octaves of the Fourier features.
    include_pi : bool
        Whether the frequencies are multiples of pi.
    point_channels : int
        What is told of a point beside its coordinates: its normal, and whether it is on a sharp
        edge.
    points : int
        Of a surface, as trained.
    candidates_per_token : int
        Tokens begin at some of so many times their number of points.

    Source
    ------
    Zhang et al., 3DShape2VecSet (2023); Yan et al., X-Part (2025).
    """

    tokens: int
    width: int
    heads: int
    layers: int
    has_head_norms: bool
    qkv_bias: bool
    frequencies: int
    include_pi: bool
    point_channels: int
    points: int
    candidates_per_token: int

    @property
    def feature_channels(self) -> int:
        """Coordinates, the sine and cosine of each at every frequency, and what else is told."""
        return AXES * (1 + 2 * self.frequencies) + self.point_channels

    @classmethod
    def from_upstream(cls, params: Mapping[str, Any]) -> PointSetConfig:
        """Read published settings of a shape VAE; unknown entries are ignored.

        Raises
        ------
        KeyError
            A size that differs between models is not told.
        ValueError
            They make no network.
        """
        config = cls(
            tokens=int(params["num_latents"]),
            width=int(params["width"]),
            heads=int(params["heads"]),
            layers=int(params["num_encoder_layers"]),
            has_head_norms=bool(params.get("qk_norm", True)),
            qkv_bias=bool(params.get("qkv_bias", False)),
            frequencies=int(params.get("num_freqs", 8)),
            include_pi=bool(params.get("include_pi", False)),
            point_channels=int(params.get("point_feats", 4)),
            points=int(params.get("pc_size", 81_920)),
            candidates_per_token=int(params.get("downsample_ratio", 20)),
        )
        if min(config.tokens, config.width, config.heads, config.candidates_per_token) < 1:
            raise ValueError("tokens, width, heads and downsample_ratio must be at least 1")
        if config.width % config.heads:
            raise ValueError(f"a width of {config.width} is no multiple of {config.heads} heads")
        return config
