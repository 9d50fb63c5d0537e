"""What texture engines take and give."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from backend.catalog import BackSide, Preset
from backend.meshes.frame import PictureFrame
from backend.meshes.masks import Mask
from backend.meshes.picture import Picture
from backend.meshes.textured_mesh import TexturedMesh
from backend.meshes.texturing.surface_layout import SurfaceLayout
from backend.meshes.triangle_mesh import TriangleMesh

FRONT_DEG = 0.0


@dataclass(frozen=True)
class TextureWishes:
    """What was asked of an engine that runs networks; what is None follows from the preset.

    Parameters
    ----------
    model : str or None
        One of ``backend.models.checkpoints.catalogue``.
    steps : int or None
        Calls of the denoiser for each row of guidance.
    guidance : float or None
    views : int or None
        Sides that are painted.
    view_px : int or None
        Side of the painted pictures.
    delight, upscale : bool or None
        Whether light is taken out of the picture, and painted pictures are enlarged by a network.
    """

    preset: Preset = Preset.STANDARD
    model: str | None = None
    steps: int | None = None
    guidance: float | None = None
    views: int | None = None
    view_px: int | None = None
    delight: bool | None = None
    upscale: bool | None = None


@dataclass(frozen=True)
class ReferencePicture:
    """A picture of the object and where it stands in the model.

    Parameters
    ----------
    picture : Picture
        At any size.
    mask : (h, w) bool
        The object, at working size.
    frame : PictureFrame
        At the size of the mask: from the mesh to pixels, once the mesh is turned by minus
        ``azimuth_deg`` about the vertical so that this side faces +Z.
    azimuth_deg : float
        Where it was taken from: 0 is +Z, the front; 90 is +X.
    """

    picture: Picture
    mask: Mask
    frame: PictureFrame
    azimuth_deg: float = FRONT_DEG


@dataclass(frozen=True)
class TextureTask:
    """A mesh and pictures of the object.

    Parameters
    ----------
    mesh : TriangleMesh
        In any unit; +Y is up, +Z is the front.
    references : tuple of ReferencePicture
        At least one; the front comes first.
    size_px : int
        Side of the atlas.
    back_side : BackSide
        For engines without networks.
    is_inflated : bool
        The back of the mesh is a guess that mirrors its front.
    layout : SurfaceLayout or None
        Texture coordinates to keep; None where the engine makes its own.
    seed : int
        Of this item alone, whatever batch it runs in.
    wishes : TextureWishes
        For engines with networks.
    """

    mesh: TriangleMesh
    references: tuple[ReferencePicture, ...]
    size_px: int
    back_side: BackSide = BackSide.AUTO
    is_inflated: bool = False
    layout: SurfaceLayout | None = None
    seed: int = 0
    wishes: TextureWishes = TextureWishes()


@dataclass(frozen=True)
class TextureResult:
    """A textured mesh and how it came about.

    Parameters
    ----------
    mesh : TexturedMesh
    notice : str
        For people; empty where there is nothing to say.
    facts : dict
        JSON-ready: which model or method, with which settings and findings.
    """

    mesh: TexturedMesh
    notice: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
