"""Sizes of the denoiser of Hunyuan3D 2.1, and of others of the same design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

_NOT_BUILT = ("with_decoupled_ca", "use_attention_pooling", "use_pos_emb", "guidance_cond_proj_dim")


class HeadNorm(StrEnum):
    """How queries and keys are normalised, head by head."""

    NONE = "none"
    RMS = "rms"
    LAYER = "layer"


@dataclass(frozen=True)
class PlainConfig:
    """Size of a denoiser with one stream, skip connections and cross-attention.

    Parameters
    ----------
    latent_channels, context_channels : int
        Channels of one latent token and of one token of the picture.
    width : int
        Channels inside; a multiple of ``heads``.
    heads : int
    depth : int
        Blocks. Those after the middle one take what those before it pass on, last one first.
    expert_blocks : int
        How many of the last blocks have a mixture of experts for their perceptron.
    experts, experts_per_token : int
        Of one mixture, beside the one that all tokens share.
    head_norm : HeadNorm
    has_qkv_bias : bool
    norm_epsilon : float
        Of the layer norms over the width.
    time_of_noise, time_of_data : float
        What the network is told where our time is 0, and where it is 1.
    velocity_sign : int
        1 if the network predicts the way from noise to data, -1 if from data to noise.

    Raises
    ------
    ValueError
        The sizes do not fit together.
    """

    latent_channels: int
    context_channels: int
    width: int
    heads: int
    depth: int
    expert_blocks: int = 6
    experts: int = 8
    experts_per_token: int = 2
    head_norm: HeadNorm = HeadNorm.RMS
    has_qkv_bias: bool = False
    norm_epsilon: float = 1e-6
    time_of_noise: float = 0.0
    time_of_data: float = 1.0
    velocity_sign: int = 1

    def __post_init__(self) -> None:
        if self.width % self.heads or self.width % 2:
            raise ValueError(f"width {self.width} is odd or no multiple of {self.heads} heads")
        if self.expert_blocks and self.experts_per_token > self.experts:
            raise ValueError(f"{self.experts_per_token} of {self.experts} experts")

    @property
    def head_width(self) -> int:
        """Channels of one head."""
        return self.width // self.heads

    @property
    def mlp_width(self) -> int:
        """Hidden channels of a perceptron, and of the embedding of time."""
        return 4 * self.width

    def passes_on(self, block: int) -> bool:
        """Tell whether a later block takes what this one returns."""
        return block < self.depth // 2

    def takes_skip(self, block: int) -> bool:
        """Tell whether a block takes what an earlier one has passed on."""
        return block > self.depth // 2

    def has_experts(self, block: int) -> bool:
        """Tell whether the perceptron of a block is a mixture of experts."""
        return self.depth - block <= self.expert_blocks

    @classmethod
    def from_upstream(cls, params: Mapping[str, Any]) -> PlainConfig:
        """Read the parameters of a published model.

        Parameters
        ----------
        params : mapping
            ``params`` of ``model`` in its config.yaml. What is absent is taken as in the
            released 2.1; entries that do not change the network are ignored.

        Raises
        ------
        KeyError
            A size is missing.
        ValueError
            The sizes do not fit together, or a part is asked for that no released model has.
        """
        for name in _NOT_BUILT:
            if params.get(name):
                raise ValueError(f"{name} is {params[name]!r}, which no released model has")
        return cls(
            latent_channels=int(params["in_channels"]),
            context_channels=int(params["context_dim"]),
            width=int(params["hidden_size"]),
            heads=int(params["num_heads"]),
            depth=int(params["depth"]),
            expert_blocks=int(params.get("num_moe_layers", 6)),
            experts=int(params.get("num_experts", 8)),
            experts_per_token=int(params.get("moe_top_k", 2)),
            head_norm=_head_norm(params),
            has_qkv_bias=bool(params.get("qkv_bias", False)),
        )


def _head_norm(params: Mapping[str, Any]) -> HeadNorm:
    if not params.get("qk_norm", True):
        return HeadNorm.NONE
    return HeadNorm(params.get("qk_norm_type", HeadNorm.RMS))


HUNYUAN3D_21 = PlainConfig(
    latent_channels=64, context_channels=1024, width=2048, heads=16, depth=21
)
