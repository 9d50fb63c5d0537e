"""What the description of a model says, typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class Component(StrEnum):
    """A network of a model; the value is the name of its section and prefix of its tensors."""

    DENOISER = "model"
    VAE = "vae"
    CONDITIONER = "conditioner"
    SEGMENTER = "segmenter"
    UNET = "unet"
    REFERENCE = "unet_dual"
    IMAGE_ENCODER = "image_encoder"
    TEXT_ENCODER = "text_encoder"
    UPSCALER = "upscaler"


class Architecture(StrEnum):
    """Which of our networks a component is."""

    FLUX_DENOISER = "flux denoiser"
    PLAIN_DENOISER = "plain denoiser"
    TRIPOSG_DENOISER = "TripoSG denoiser"
    SHAPE_VAE = "shape VAE"
    TRIPOSG_VAE = "TripoSG VAE"
    CONDITIONER = "image encoder"
    MULTI_VIEW_CONDITIONER = "multi-view image encoder"
    TRIPOSG_CONDITIONER = "TripoSG image encoder"
    P3SAM = "P3-SAM"
    PART_DENOISER = "part denoiser"
    PART_CONDITIONER = "part conditioner"
    PAINT_UNET = "painting network"
    PAINT_REFERENCE = "reference network"
    DELIGHT_UNET = "delighting network"
    PICTURE_VAE = "picture VAE"
    DINOV2 = "DINOv2"
    CLIP_TEXT = "CLIP text encoder"
    UPSCALER = "upscaler"


class SchedulerKind(StrEnum):
    """How the steps from noise to shape are spaced."""

    EULER = "euler"
    CONSISTENCY = "consistency"


@dataclass(frozen=True)
class ComponentSource:
    """One network of a model, and where its weights are.

    Parameters
    ----------
    params : mapping
        As published.
    file : Path
    prefixes : tuple of str
        What names of its tensors may begin with in the file; the first of which the file has any
        counts. It is cut off.
    added_prefix : str
        Put before the names, where a file leaves out what our networks expect.
    """

    architecture: Architecture
    params: Mapping[str, Any]
    file: Path
    prefixes: tuple[str, ...]
    added_prefix: str = ""


@dataclass(frozen=True)
class SchedulerSpec:
    """The schedule that a model was trained for.

    Parameters
    ----------
    shift : float
        Of the times of Euler steps; 1 leaves them as they are.
    grid_size : int or None
        Times to choose from, for consistency models.
    """

    kind: SchedulerKind
    shift: float = 1.0
    grid_size: int | None = None


@dataclass(frozen=True)
class PictureSpec:
    """How pictures are prepared.

    Parameters
    ----------
    size_px : int
    border_share : float
        Of the picture's side left free around the object.
    """

    size_px: int
    border_share: float


@dataclass(frozen=True)
class Checkpoint:
    """A model that lies in a folder, described.

    Parameters
    ----------
    folder : Path
    components : mapping
        A source for every network that the model has.
    """

    folder: Path
    components: Mapping[Component, ComponentSource]

    @property
    def weight_files(self) -> tuple[Path, ...]:
        """The files that hold its weights, each once."""
        return tuple(dict.fromkeys(source.file for source in self.components.values()))


@dataclass(frozen=True)
class PartCheckpoint(Checkpoint):
    """A model that finds or makes parts.

    Parameters
    ----------
    assumed : tuple of str
        What its descriptions do not tell, so that the published sizes were taken; for people.
    """

    assumed: tuple[str, ...] = ()


@dataclass(frozen=True)
class PictureCheckpoint(Checkpoint):
    """A model that makes pictures of noise: textures, or pictures without light and shadow.

    Parameters
    ----------
    schedule : mapping
        What its noise was like in training, by the published names, and checked.
    assumed : tuple of str
        What its descriptions do not tell, so that the published values were taken; for people.
    """

    schedule: Mapping[str, Any] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True)
class ShapeCheckpoint(Checkpoint):
    """A model that makes shapes from pictures: a denoiser, a VAE and an image encoder.

    Parameters
    ----------
    has_guidance_input : bool
        The denoiser takes guidance as an input, so that no second pass is made.
    takes_views : bool
        The image encoder takes several pictures of one object.
    """

    scheduler: SchedulerSpec
    picture: PictureSpec
    has_guidance_input: bool
    takes_views: bool
