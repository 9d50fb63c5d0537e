"""Sizes of Sonata, which gives features to the points of a cloud."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ORDERS = ("z", "z-trans", "hilbert", "hilbert-trans")
# Channels that P3-SAM and X-Part take per point; their files do not say it.
OUT_CHANNELS = 512
NORM_EPSILON = 1e-5
_HALVED = 2


@dataclass(frozen=True)
class SonataConfig:
    """Size of the encoder and of the perceptron that joins its levels.

    Parameters
    ----------
    in_channels : int
        Of one point: position, colour and normal.
    channels, depths, heads, patches : tuple of int
        For each level, the finest first: width, blocks, heads of attention, and how many points
        look at each other, at most.
    mlp_ratio : int
        Hidden channels of a block's perceptron by its width.
    out_channels : int
        Of one point, when all levels are joined.
    hidden_channels : int, optional
        Of the perceptron that joins them; as many as ``out_channels`` unless given.

    Raises
    ------
    ValueError
        The sizes do not fit together.
    """

    in_channels: int
    channels: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    patches: tuple[int, ...]
    mlp_ratio: int = 4
    out_channels: int = OUT_CHANNELS
    hidden_channels: int | None = None

    def __post_init__(self) -> None:
        given = self.channels, self.depths, self.heads, self.patches
        if {len(sizes) for sizes in given} != {self.levels} or not self.levels:
            raise ValueError("channels, depths, heads and patches are not of the same levels")
        for width, heads in zip(self.channels, self.heads, strict=True):
            if heads < 1 or width % heads:
                raise ValueError(f"width {width} is no multiple of {heads} heads")
        if min(self.patches) < 1:
            raise ValueError(f"patches of {min(self.patches)} points")

    @property
    def joined_channels(self) -> int:
        """Hidden channels of the perceptron that joins the levels."""
        return self.hidden_channels or self.out_channels

    @property
    def levels(self) -> int:
        """How many grids there are, each half as fine as the one before."""
        return len(self.channels)

    @classmethod
    def from_upstream(
        cls, params: Mapping[str, Any], out_channels: int | None = None
    ) -> SonataConfig:
        """Read the parameters of a published encoder.

        Parameters
        ----------
        params : mapping
            As in its sonata.json. Entries that do not change the network are ignored.
        out_channels : int, optional
            Of the perceptron behind the encoder, which that file does not know; ``feat_dim`` of
            the parameters, or 512, unless given. Its hidden channels are ``feat_hidden``, if that
            is there.

        Raises
        ------
        KeyError
            A size is missing.
        ValueError
            The sizes do not fit together, or a part is asked for that no released model has.
        """
        _refuse_what_is_not_built(params)
        if out_channels is None:
            out_channels = int(params.get("feat_dim", OUT_CHANNELS))
        return cls(
            in_channels=int(params["in_channels"]),
            channels=_sizes(params, "enc_channels"),
            depths=_sizes(params, "enc_depths"),
            heads=_sizes(params, "enc_num_head"),
            patches=_sizes(params, "enc_patch_size"),
            mlp_ratio=int(params.get("mlp_ratio", 4)),
            out_channels=out_channels,
            hidden_channels=int(params.get("feat_hidden", out_channels)),
        )


def _refuse_what_is_not_built(params: Mapping[str, Any]) -> None:
    orders: Sequence[str] = params.get("order", ORDERS)
    if tuple(orders) != ORDERS:
        raise ValueError(f"order is {orders!r}, which no released model has")
    for stride in params.get("stride", ()):
        if stride != _HALVED:
            raise ValueError(f"stride is {stride}, which no released model has")
    for name, released in (("enable_rpe", False), ("qkv_bias", True), ("pre_norm", True)):
        if bool(params.get(name, released)) is not released:
            raise ValueError(f"{name} is {params[name]!r}, which no released model has")


def _sizes(params: Mapping[str, Any], name: str) -> tuple[int, ...]:
    return tuple(int(size) for size in params[name])


SONATA = SonataConfig(
    in_channels=9,
    channels=(48, 96, 192, 384, 512),
    depths=(3, 3, 3, 12, 3),
    heads=(3, 6, 12, 24, 32),
    patches=(1024,) * 5,
    hidden_channels=OUT_CHANNELS,  # told, so that it equals what descriptions say
)
