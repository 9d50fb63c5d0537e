"""Sizes of the networks that paint, as published and otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from backend.models.hunyuan3d_paint.unet_config import STABLE_DIFFUSION_21, UnetConfig
from backend.models.hunyuan3d_paint.unet_layout import UnetLayout

MAPS = 2  # of normals and of positions, beside the latents that are painted
DINO_TOKENS_PER_PATCH = 4
RELEASED_TEXT_TOKENS = 77
RELEASED_CAMERA_ROWS = 49
RELEASED_DINO_WIDTH = 1536
PLACED_CHANNELS = 16
"""Heads of tokens that know where they lie have a multiple of so many channels."""
KIND_ENTRY = "paint_kind"
"""Name under which the description of a model tells the kind; published ones do not tell it."""


class PaintKind(StrEnum):
    """What a network paints."""

    COLOUR = "colour"
    PBR = "pbr"


@dataclass(frozen=True)
class PaintConfig:
    """Sizes of both networks of a model that paints: the one that does, and its reference.

    Parameters
    ----------
    kind : PaintKind
    unet : UnetConfig
        Of the reference network; the main one also takes the maps in.
    text_tokens : int
        Learned tokens in the place of a text.
    camera_rows : int
        Of the table of cameras; 0 for PBR.
    dino_width : int
        Channels of the description of the picture; 0 for colour.

    Raises
    ------
    ValueError
        The heads of a network for PBR cannot be told where tokens lie.
    """

    kind: PaintKind
    unet: UnetConfig
    text_tokens: int = RELEASED_TEXT_TOKENS
    camera_rows: int = 0
    dino_width: int = 0

    def __post_init__(self) -> None:
        for one in UnetLayout(self.unet).transformers if self.kind is PaintKind.PBR else ():
            channels = one.width // one.heads
            if channels % PLACED_CHANNELS:
                raise ValueError(f"a head of {channels} channels, no multiple of {PLACED_CHANNELS}")

    @property
    def main_unet(self) -> UnetConfig:
        """Sizes of the network that paints."""
        return replace(self.unet, in_channels=(1 + MAPS) * self.unet.in_channels)

    @property
    def materials(self) -> tuple[str, ...]:
        """What is painted for each view; PBR: colour, and metallic with roughness."""
        return ("albedo", "mr") if self.kind is PaintKind.PBR else ("gen",)

    @classmethod
    def from_upstream(cls, params: Mapping[str, Any]) -> PaintConfig:
        """Read the published configuration of the U-Net; the rest is as released.

        Parameters
        ----------
        params : mapping
            config.json of the folder ``unet``. It says nothing of the kind: ``paint_kind`` is
            to be added, one of ``PaintKind``.

        Raises
        ------
        KeyError
            A size is missing; the published name.
        ValueError
            The network is of a kind that is not built here.
        """
        kind = PaintKind(params[KIND_ENTRY])
        is_pbr = kind is PaintKind.PBR
        return cls(
            kind=kind,
            unet=UnetConfig.from_upstream(params),
            camera_rows=0 if is_pbr else RELEASED_CAMERA_ROWS,
            dino_width=RELEASED_DINO_WIDTH if is_pbr else 0,
        )

    @classmethod
    def from_shapes(
        cls, shapes: Mapping[str, Sequence[int]], params: Mapping[str, Any]
    ) -> PaintConfig:
        """Read off published tensors what the configuration does not tell.

        Parameters
        ----------
        shapes : mapping of published names to shapes
        params : mapping
            As for ``from_upstream``; ``paint_kind`` may be absent.

        Raises
        ------
        KeyError
            A size, or a tensor that tells one, is missing.
        ValueError
            The network is of a kind that is not built here, or not of the kind that is told.
        """
        is_pbr = "unet.learned_text_clip_albedo" in shapes
        kind = PaintKind.PBR if is_pbr else PaintKind.COLOUR
        if params.get(KIND_ENTRY, kind) != kind:
            raise ValueError(f"these are weights for {kind}, not for {params[KIND_ENTRY]}")
        return cls(
            kind=kind,
            unet=UnetConfig.from_upstream(params),
            text_tokens=shapes["unet.learned_text_clip_ref"][-2],
            camera_rows=0 if is_pbr else shapes["unet.class_embedding.weight"][0],
            dino_width=shapes["unet.image_proj_model_dino.proj.weight"][1] if is_pbr else 0,
        )


PAINT_20 = PaintConfig(PaintKind.COLOUR, STABLE_DIFFUSION_21, camera_rows=RELEASED_CAMERA_ROWS)
PAINT_21 = PaintConfig(PaintKind.PBR, STABLE_DIFFUSION_21, dino_width=RELEASED_DINO_WIDTH)
