"""Puts a GLB together: buffers, materials and named nodes, as many as there are parts.

Source: Khronos glTF 2.0 specification, sections 3 (structure) and 4 (GLB container).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.meshes.source_mesh import AlphaMode, EncodedImage, Material

MAGIC, VERSION = 0x46546C67, 2
JSON_CHUNK, BINARY_CHUNK = 0x4E4F534A, 0x004E4942
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
LINES = 1
# A vertex of this number would mean a restart of the strip.
RESTART_U16 = 65535
_COMPONENTS = {"u1": 5121, "u2": 5123, "u4": 5125, "f4": 5126}
_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}

AnyArray = NDArray[Any]


@dataclass(frozen=True)
class Primitive:
    """Faces of one material.

    Parameters
    ----------
    attributes : mapping of str to array
        ``POSITION`` (n, 3) float32 and others of the same length; those of small whole numbers
        are normalised. Their rows must be multiples of four bytes long.
    indices : (k,) int
        Corners.
    mode : int, optional
        How corners make shapes; triangles unless given.
    """

    attributes: Mapping[str, AnyArray]
    indices: AnyArray
    material: int | None = None
    mode: int | None = None


def _transparency(look: Material) -> dict[str, Any]:
    if look.alpha_mode is AlphaMode.MASK:
        return {"alphaMode": look.alpha_mode.value, "alphaCutoff": float(look.alpha_cutoff)}
    if look.alpha_mode is AlphaMode.BLEND or look.base_color[3] < 1:
        return {"alphaMode": AlphaMode.BLEND.value}
    return {}


@dataclass
class GlbBuilder:
    """One scene.

    Parameters
    ----------
    generator : str
        Who made it.
    extras : dict
        Notes on the whole file.
    """

    generator: str = "Meshkiln"
    extras: dict[str, Any] = field(default_factory=dict)
    nodes: list[dict[str, Any]] = field(default_factory=list)
    _meshes: list[dict[str, Any]] = field(default_factory=list)
    _materials: list[dict[str, Any]] = field(default_factory=list)
    _images: list[dict[str, Any]] = field(default_factory=list)
    _accessors: list[dict[str, Any]] = field(default_factory=list)
    _views: list[dict[str, Any]] = field(default_factory=list)
    _pieces: list[bytes | memoryview] = field(default_factory=list)
    _size_bytes: int = 0
    _textures: dict[bytes, int] = field(default_factory=dict)

    def material(self, look: Material, name: str, extras: Mapping[str, Any] | None = None) -> int:
        """Add a material; the same texture is stored once."""
        surface: dict[str, Any] = {
            "baseColorFactor": [float(value) for value in look.base_color],
            "metallicFactor": float(look.metallic),
            "roughnessFactor": float(look.roughness),
        }
        if look.texture is not None:
            surface["baseColorTexture"] = {"index": self._texture(look.texture)}
        if look.metallic_roughness is not None:
            number = self._texture(look.metallic_roughness)
            surface["metallicRoughnessTexture"] = {"index": number}
        made: dict[str, Any] = {"name": name, "pbrMetallicRoughness": surface}
        if look.is_double_sided:
            made["doubleSided"] = True
        made |= _transparency(look)
        if extras:
            made["extras"] = dict(extras)
        self._materials.append(made)
        return len(self._materials) - 1

    def node(
        self,
        name: str,
        primitives: Sequence[Primitive],
        extras: Mapping[str, Any] | None = None,
    ) -> int:
        """Add a node with a mesh of its own.

        Both have the name; a mesh of several primitives a longer one, because readers number
        those, and trimesh would take the number at the end of ``part_00`` for such a one.
        """
        shared: dict[int, int] = {}
        made = [self._primitive(primitive, shared) for primitive in primitives]
        mesh_name = name if len(made) == 1 else f"{name}_piece"
        self._meshes.append({"name": mesh_name, "primitives": made})
        node: dict[str, Any] = {"name": name, "mesh": len(self._meshes) - 1}
        if extras:
            node["extras"] = dict(extras)
        self.nodes.append(node)
        return len(self.nodes) - 1

    def write(self, path: Path) -> None:
        """Write what was added so far."""
        text = json.dumps(self._document(), separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        total = 12 + 8 + len(text) + 8 + self._size_bytes
        with path.open("wb") as file:
            file.write(struct.pack("<III", MAGIC, VERSION, total))
            file.write(struct.pack("<II", len(text), JSON_CHUNK))
            file.write(text)
            file.write(struct.pack("<II", self._size_bytes, BINARY_CHUNK))
            for piece in self._pieces:
                file.write(piece)

    def _document(self) -> dict[str, Any]:
        lists = {
            "nodes": self.nodes,
            "meshes": self._meshes,
            "materials": self._materials,
            "images": self._images,
            "textures": [{"source": number} for number in range(len(self._images))],
            "accessors": self._accessors,
            "bufferViews": self._views,
        }
        asset: dict[str, Any] = {"version": "2.0", "generator": self.generator}
        return {
            "asset": asset | ({"extras": self.extras} if self.extras else {}),
            "scene": 0,
            "scenes": [{"nodes": list(range(len(self.nodes)))}],
            "buffers": [{"byteLength": self._size_bytes}],
        } | {name: found for name, found in lists.items() if found}

    def _texture(self, image: EncodedImage) -> int:
        if image.data not in self._textures:
            view = self._view(image.data)
            self._images.append({"bufferView": view, "mimeType": image.mime})
            self._textures[image.data] = len(self._images) - 1
        return self._textures[image.data]

    def _primitive(self, primitive: Primitive, shared: dict[int, int]) -> dict[str, Any]:
        made: dict[str, Any] = {
            "attributes": {
                name: self._attribute(name, values, shared)
                for name, values in primitive.attributes.items()
            },
            "indices": self._indices(primitive),
        }
        if primitive.material is not None:
            made["material"] = primitive.material
        if primitive.mode is not None:
            made["mode"] = primitive.mode
        return made

    def _attribute(self, name: str, values: AnyArray, shared: dict[int, int]) -> int:
        """Add an attribute; primitives of one node that use the same array share it."""
        if id(values) not in shared:
            accessor = self._accessor(values, ARRAY_BUFFER)
            if name == "POSITION":
                accessor["min"] = values.min(axis=0).tolist()
                accessor["max"] = values.max(axis=0).tolist()
            if values.dtype.kind == "u":
                accessor["normalized"] = True
            shared[id(values)] = self._add(accessor)
        return shared[id(values)]

    def _indices(self, primitive: Primitive) -> int:
        fits = len(primitive.attributes["POSITION"]) <= RESTART_U16
        values = np.asarray(primitive.indices).reshape(-1).astype("<u2" if fits else "<u4")
        return self._add(self._accessor(values, ELEMENT_ARRAY_BUFFER))

    def _add(self, accessor: dict[str, Any]) -> int:
        self._accessors.append(accessor)
        return len(self._accessors) - 1

    def _accessor(self, values: AnyArray, target: int) -> dict[str, Any]:
        width = values.shape[1] if values.ndim > 1 else 1
        little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
        return {
            "bufferView": self._view(little.reshape(-1).view(np.uint8).data, target),
            "componentType": _COMPONENTS[values.dtype.str[1:]],
            "count": len(values),
            "type": _TYPES[width],
        }

    def _view(self, data: bytes | memoryview, target: int | None = None) -> int:
        view = {"buffer": 0, "byteOffset": self._size_bytes, "byteLength": len(data)}
        self._views.append(view if target is None else view | {"target": target})
        self._pieces += [data, bytes(-len(data) % 4)]
        self._size_bytes += len(data) + (-len(data) % 4)
        return len(self._views) - 1
