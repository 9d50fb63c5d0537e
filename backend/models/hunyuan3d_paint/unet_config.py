"""Sizes of the U-Net of Stable Diffusion 2.1, and of others of the same design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_DOWN = {"CrossAttnDownBlock2D": True, "DownBlock2D": False}
_UP = {"CrossAttnUpBlock2D": True, "UpBlock2D": False}
# What the released networks have; anything else would be another network.
_FIXED = {
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "use_linear_projection": True,
    "act_fn": "silu",
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "class_embed_type": None,
    "addition_embed_type": None,
    "encoder_hid_dim_type": None,
    "dual_cross_attention": False,
    "only_cross_attention": False,
    "resnet_time_scale_shift": "default",
    "time_embedding_type": "positional",
    "transformer_layers_per_block": 1,
    "norm_eps": 1e-5,
    "downsample_padding": 1,
    "center_input_sample": False,
    "resnet_skip_time_act": False,
    "resnet_out_scale_factor": 1.0,
    "mid_block_scale_factor": 1,
    "time_embedding_act_fn": None,
    "timestep_post_act": None,
    "attention_type": "default",
}
_ABSENT_MEANS = {"use_linear_projection": False}
TIME_WIDENING = 4


@dataclass(frozen=True)
class UnetConfig:
    """Sizes of a U-Net with text.

    Parameters
    ----------
    in_channels, out_channels : int
    widths : tuple of int
        Channels of each level, finest first.
    heads : tuple of int
        Of the attention at each level.
    attends : tuple of bool
        Which levels have attention; the middle of the network always has.
    layers_per_level : int
        On the way down; one more on the way up.
    text_width : int
        Channels of a token of text.
    groups : int
        Of the group norms.

    Raises
    ------
    ValueError
        The sizes do not fit together.
    """

    in_channels: int
    out_channels: int
    widths: tuple[int, ...]
    heads: tuple[int, ...]
    attends: tuple[bool, ...]
    layers_per_level: int
    text_width: int
    groups: int

    def __post_init__(self) -> None:
        if not len(self.widths) == len(self.heads) == len(self.attends) > 0:
            raise ValueError("widths, heads and kinds of levels differ in number")
        counts = (self.in_channels, self.out_channels, self.layers_per_level, self.text_width)
        if min(*counts, self.groups, *self.widths, *self.heads) < 1:
            raise ValueError("a size is below 1")
        for width, heads in zip(self.widths, self.heads, strict=True):
            if width % heads or width % self.groups:
                raise ValueError(f"{width} channels, {heads} heads, {self.groups} groups")
        if self.widths[0] % 2:
            raise ValueError(f"{self.widths[0]} channels are odd")

    @property
    def time_width(self) -> int:
        """Channels of the embedding of time."""
        return TIME_WIDENING * self.widths[0]

    @property
    def shrinking(self) -> int:
        """How many times smaller the coarsest level is; sides of latents are multiples of it."""
        return int(2 ** (len(self.widths) - 1))

    @classmethod
    def from_upstream(cls, params: Mapping[str, Any]) -> UnetConfig:
        """Read the published configuration, which is that of the library diffusers.

        Raises
        ------
        KeyError
            A size is missing; the published name.
        ValueError
            The network is of a kind that is not built here, or its sizes do not fit together.
        """
        for name, wanted in _FIXED.items():
            found = params.get(name, _ABSENT_MEANS.get(name, wanted))
            if found != wanted:
                raise ValueError(f"{name} is {found!r}; only {wanted!r} is known")
        down, up = params["down_block_types"], params["up_block_types"]
        attends = tuple(_known(_DOWN, kind) for kind in down)
        if tuple(_known(_UP, kind) for kind in reversed(up)) != attends:
            raise ValueError(f"the way up {up} does not mirror the way down {down}")
        return cls(
            in_channels=int(params["in_channels"]),
            out_channels=int(params["out_channels"]),
            widths=tuple(map(int, params["block_out_channels"])),
            heads=_per_level(params["attention_head_dim"], len(down)),
            attends=attends,
            layers_per_level=int(params["layers_per_block"]),
            text_width=int(params["cross_attention_dim"]),
            groups=int(params.get("norm_num_groups", 32)),
        )


def _known(kinds: Mapping[str, bool], kind: str) -> bool:
    if kind not in kinds:
        raise ValueError(f"{kind!r} is not built here; {', '.join(kinds)} are")
    return kinds[kind]


def _per_level(heads: Any, levels: int) -> tuple[int, ...]:
    """Read the heads; the published name says width, but heads are meant."""
    return (heads,) * levels if isinstance(heads, int) else tuple(map(int, heads))


STABLE_DIFFUSION_21 = UnetConfig(
    in_channels=4,
    out_channels=4,
    widths=(320, 640, 1280, 1280),
    heads=(5, 10, 20, 20),
    attends=(True, True, True, False),
    layers_per_level=2,
    text_width=1024,
    groups=32,
)
