"""Sizes of the autoencoder of Stable Diffusion 2.1, and of others of the same design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

_DOWN, _UP = "DownEncoderBlock2D", "UpDecoderBlock2D"
# What the released one has; anything else would give other latents under the same names.
_FIXED = {
    "act_fn": "silu",
    "mid_block_add_attention": True,
    "shift_factor": None,
    "latents_mean": None,
    "latents_std": None,
}
_FORMER_NAME = "decoder.mid_block.attentions.0.query.weight"


@dataclass(frozen=True)
class PictureVaeConfig:
    """Sizes of an autoencoder of pictures.

    Parameters
    ----------
    widths : tuple of int
        Channels of each level, finest first; each but the last halves the sides.
    layers_per_level : int
        On the way down; one more on the way up.
    latent_channels : int
    colours : int
    groups : int
        Of the group norms.
    scaling : float
        Latents are so many times what the encoder returns.
    has_former_names : bool
        Whether the file names its attention as the library diffusers did up to version 0.14.

    Raises
    ------
    ValueError
        The sizes do not fit together.
    """

    widths: tuple[int, ...]
    layers_per_level: int
    latent_channels: int
    colours: int = 3
    groups: int = 32
    scaling: float = 0.18215
    has_former_names: bool = False

    def __post_init__(self) -> None:
        counts = (self.layers_per_level, self.latent_channels, self.colours, self.groups)
        if not self.widths or min(*counts, *self.widths) < 1 or self.scaling <= 0:
            raise ValueError("a size is below 1")
        if any(width % self.groups for width in self.widths):
            raise ValueError(f"{self.widths} channels are not for {self.groups} groups")

    @property
    def shrinking(self) -> int:
        """How many times smaller latents are than pictures, along each side."""
        return int(2 ** (len(self.widths) - 1))

    @classmethod
    def from_upstream(cls, params: Mapping[str, Any]) -> PictureVaeConfig:
        """Read the published configuration, which is that of the library diffusers.

        Raises
        ------
        KeyError
            A size is missing; the published name.
        ValueError
            The network is of a kind that is not built here.
        """
        widths = tuple(map(int, params["block_out_channels"]))
        for name, known in (("down_block_types", _DOWN), ("up_block_types", _UP)):
            if list(params[name]) != [known] * len(widths):
                raise ValueError(f"{name} is {params[name]!r}; only {known!r} is known")
        for name, wanted in _FIXED.items():
            if params.get(name, wanted) != wanted:
                raise ValueError(f"{name} is {params[name]!r}; only {wanted!r} is known")
        if params["in_channels"] != params["out_channels"]:
            raise ValueError("pictures that go in and come out differ in channels")
        return cls(
            widths=widths,
            layers_per_level=int(params["layers_per_block"]),
            latent_channels=int(params["latent_channels"]),
            colours=int(params["in_channels"]),
            groups=int(params.get("norm_num_groups", cls.groups)),
            scaling=float(params.get("scaling_factor", cls.scaling)),
        )

    @classmethod
    def from_shapes(
        cls, shapes: Mapping[str, Sequence[int]], params: Mapping[str, Any]
    ) -> PictureVaeConfig:
        """Read off published tensors which names they have; errors as of ``from_upstream``."""
        return replace(cls.from_upstream(params), has_former_names=_FORMER_NAME in shapes)


STABLE_DIFFUSION_21_VAE = PictureVaeConfig((128, 256, 512, 512), 2, 4)
