"""Reads the materials of a glTF: base colour, roughness and metal, and their textures."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.errors import MeshCorrupt, MeshTooLarge, UnsupportedExtension
from backend.meshes.reading.gltf_document import (
    GltfDocument,
    child,
    data_uri,
    extensions,
    number,
    numbers,
    whole,
)
from backend.meshes.reading.mesh_limits import MeshLimits
from backend.meshes.reading.textures import TextureBudget
from backend.meshes.source_mesh import AlphaMode, EncodedImage, Material

TRANSFORM = "KHR_texture_transform"
GLOSSINESS = "KHR_materials_pbrSpecularGlossiness"
WEBP = "EXT_texture_webp"
SHINE = "metallicRoughnessTexture"
MAX_NAME = 100


@dataclass(frozen=True)
class TexturePlace:
    """Which texture coordinates a material takes, and what it does to them."""

    attribute: str = "TEXCOORD_0"
    offset: tuple[float, float] = (0.0, 0.0)
    rotation: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)

    def applied(self, uvs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Move texture coordinates, (n, 2).

        Source
        ------
        KHR_texture_transform: translation * rotation * scale, about the top left corner.
        """
        if self == TexturePlace(self.attribute):
            return uvs
        u, v = uvs[:, 0] * self.scale[0], uvs[:, 1] * self.scale[1]
        cos, sin = math.cos(self.rotation), math.sin(self.rotation)
        turned = np.stack([cos * u + sin * v, cos * v - sin * u], axis=1)
        moved: NDArray[np.float64] = turned + np.array(self.offset)
        return moved


@dataclass
class MaterialShelf:
    """Materials that were asked for, each read once.

    Parameters
    ----------
    document : GltfDocument
        Where they are.
    limits : MeshLimits
        How many there may be, and how large their textures.
    """

    document: GltfDocument
    limits: MeshLimits
    materials: list[Material] = field(default_factory=list)
    _known: dict[int | None, tuple[int, TexturePlace]] = field(default_factory=dict)
    _images: dict[int, EncodedImage] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._budget = TextureBudget(self.limits)
        self._shine_budget = TextureBudget(self.limits)

    def look_up(self, chosen: object) -> tuple[int, TexturePlace]:
        """Return the number of a material among those in use, and where its texture lies.

        Raises
        ------
        MeshCorrupt, MeshTooLarge
        """
        key = None if chosen is None else whole({"material": chosen}, "material")
        if key not in self._known:
            if len(self.materials) >= self.limits.materials:
                raise MeshTooLarge(f"It has more than {self.limits.materials:,} materials.")
            material, place = self._read(key)
            self._known[key] = (len(self.materials), place)
            self.materials.append(material)
        return self._known[key]

    def _read(self, key: int | None) -> tuple[Material, TexturePlace]:
        if key is None:
            return Material(), TexturePlace()
        entry = self.document.item("materials", key)
        surface = child(entry, "pbrMetallicRoughness")
        color_key, texture_key = "baseColorFactor", "baseColorTexture"
        if GLOSSINESS in extensions(entry) and not surface:
            surface = child(extensions(entry), GLOSSINESS)
            color_key, texture_key = "diffuseFactor", "diffuseTexture"
        info = child(surface, texture_key) if texture_key in surface else None
        shine_info = _shine_beside(surface, info)
        shine = None if shine_info is None else self._shine(shine_info)
        placed = info or shine_info
        r, g, b, opacity = _fractions(numbers(surface, color_key, [1.0, 1.0, 1.0, 1.0]))
        material = Material(
            material_name(entry, key),
            (r, g, b, opacity),
            _metallic(surface, has_map=shine is not None),
            _fractions([number(surface, "roughnessFactor", 1.0)])[0],
            None if info is None else self._texture(info),
            entry.get("doubleSided") is True,
            _alpha_mode(entry),
            _fractions([number(entry, "alphaCutoff", 0.5)])[0],
            shine,
        )
        return material, TexturePlace() if placed is None else _place(placed)

    def _texture(
        self, info: dict[str, Any], budget: TextureBudget | None = None
    ) -> EncodedImage | None:
        """Find the picture of a texture; None when it is only there in a format beside ours."""
        budget = budget or self._budget
        texture = self.document.item("textures", info.get("index"))
        source = texture.get("source")
        if source is None:
            source = child(extensions(texture), WEBP).get("source")
        if source is None:
            return None
        key = whole({"source": source}, "source")
        if key not in self._images:
            self._images[key] = budget.checked(self._image_bytes(key), f"images[{key}]")
        return self._images[key]

    def _shine(self, info: dict[str, Any]) -> EncodedImage | None:
        """Find the map of roughness and metal; None where it is too large or damaged.

        What lights a mesh is no reason to refuse it. ``not_read`` tells of maps left behind.
        """
        try:
            return self._texture(info, self._shine_budget)
        except (MeshTooLarge, MeshCorrupt, UnsupportedExtension):
            return None

    def _image_bytes(self, key: int) -> bytes:
        image = self.document.item("images", key)
        if "uri" in image:
            return data_uri(image["uri"])
        if "bufferView" not in image:
            raise MeshCorrupt(f"images[{key}] has no data.")
        return bytes(self.document.view(image["bufferView"])[0])


def material_name(entry: dict[str, Any], key: int) -> str:
    """Name a material as its file does, or by its number."""
    return str(entry.get("name") or f"material_{key}")[:MAX_NAME]


def _place(info: dict[str, Any]) -> TexturePlace:
    moved = child(extensions(info), TRANSFORM)
    channel = whole(moved, "texCoord", whole(info, "texCoord", 0))
    u, v = numbers(moved, "offset", [0.0, 0.0])
    scale_u, scale_v = numbers(moved, "scale", [1.0, 1.0])
    turn = number(moved, "rotation", 0.0)
    return TexturePlace(f"TEXCOORD_{channel}", (u, v), turn, (scale_u, scale_v))


def _shine_beside(surface: dict[str, Any], info: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the map of roughness and metal of a material, if it can be kept.

    Parameters
    ----------
    info : dict or None
        Its texture. A map that lies elsewhere than the texture stays behind: vertices have one
        set of texture coordinates.
    """
    shine = surface.get(SHINE)
    if not isinstance(shine, dict):
        return None
    return shine if info is None or _place(shine) == _place(info) else None


def _metallic(surface: dict[str, Any], *, has_map: bool) -> float:
    """Read how metallic it is; where nothing says so, or only a map that stays behind, not."""
    if has_map:
        return _fractions([number(surface, "metallicFactor", 1.0)])[0]
    if SHINE in surface or "metallicFactor" not in surface:
        return 0.0
    return _fractions([number(surface, "metallicFactor", 0.0)])[0]


def _alpha_mode(entry: dict[str, Any]) -> AlphaMode:
    named = entry.get("alphaMode")
    return next((mode for mode in AlphaMode if mode.value == named), AlphaMode.OPAQUE)


def _fractions(values: list[float]) -> list[float]:
    return [min(1.0, max(0.0, value)) for value in values]
