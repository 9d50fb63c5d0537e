"""Sizes of the denoisers of Hunyuan3D 2.0, 2mini and 2mv."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class FluxConfig:
    """Size of a denoiser with double and single stream blocks.

    Parameters
    ----------
    latent_channels, context_channels : int
        Channels of one latent token and of one token of the picture.
    width : int
        Channels inside; a multiple of ``heads``.
    heads : int
    mlp_ratio : float
        Hidden channels of the perceptrons divided by ``width``.
    double_blocks, single_blocks : int
    has_guidance_input : bool
        Whether guidance is an input, as in the distilled releases.
    has_qkv_bias : bool
        In the double blocks; single blocks always have one.

    Raises
    ------
    ValueError
        ``width`` is no multiple of ``heads``.
    """

    latent_channels: int
    context_channels: int
    width: int
    heads: int
    double_blocks: int
    single_blocks: int
    mlp_ratio: float = 4.0
    has_guidance_input: bool = False
    has_qkv_bias: bool = True

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is no multiple of {self.heads} heads")

    @property
    def head_width(self) -> int:
        """Channels of one head."""
        return self.width // self.heads

    @property
    def mlp_width(self) -> int:
        """Hidden channels of a perceptron."""
        return int(self.width * self.mlp_ratio)

    @classmethod
    def from_upstream(cls, params: Mapping[str, Any]) -> FluxConfig:
        """Read the parameters of a published model.

        Parameters
        ----------
        params : mapping
            ``params`` of ``model`` in its config.yaml. Entries that do not change the network
            are ignored.

        Raises
        ------
        KeyError
            A size is missing.
        ValueError
            The sizes do not fit together.
        """
        return cls(
            latent_channels=int(params["in_channels"]),
            context_channels=int(params["context_in_dim"]),
            width=int(params["hidden_size"]),
            heads=int(params["num_heads"]),
            double_blocks=int(params["depth"]),
            single_blocks=int(params["depth_single_blocks"]),
            mlp_ratio=float(params.get("mlp_ratio", 4.0)),
            has_guidance_input=bool(params.get("guidance_embed", False)),
            has_qkv_bias=bool(params.get("qkv_bias", True)),
        )


HUNYUAN3D_20 = FluxConfig(
    latent_channels=64,
    context_channels=1536,
    width=1024,
    heads=16,
    double_blocks=16,
    single_blocks=32,
)
"""2.0 and, with tokens of up to four pictures, 2mv."""

HUNYUAN3D_20_GUIDED = replace(HUNYUAN3D_20, has_guidance_input=True)
"""The fast and turbo releases of 2.0 and 2mv."""

HUNYUAN3D_MINI = replace(HUNYUAN3D_20, double_blocks=8, single_blocks=16)

HUNYUAN3D_MINI_GUIDED = replace(HUNYUAN3D_MINI, has_guidance_input=True)
"""The fast and turbo releases of 2mini."""
