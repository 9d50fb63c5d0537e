"""Names what a file holds and we leave behind, so that nobody loses it without being told."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backend.meshes.glb_notes import notes_in
from backend.meshes.reading.gltf_container import open_glb, open_gltf
from backend.meshes.reading.gltf_materials import SHINE, material_name
from backend.meshes.reading.mesh_format import MeshFormat
from backend.meshes.source_mesh import Material

KEY = "not_read"
MAX_WORDS = 20
HEAD_BYTES = 1 << 16
_TEXTURES = {
    "normalTexture": "normal maps",
    "occlusionTexture": "maps of shadows",
    "emissiveTexture": "maps of light that it gives off",
}
_LISTS = {
    "animations": "animations (it is taken as it stands)",
    "skins": "its skeleton",
    "cameras": "cameras",
}


def not_read(data: bytes, kind: MeshFormat, materials: Sequence[Material] = ()) -> list[str]:
    """Name what is left behind of a file that was read.

    Parameters
    ----------
    data : bytes
        The file.
    kind : MeshFormat
        Its format.
    materials : sequence of Material
        What was read of its materials.
    """
    if kind in (MeshFormat.GLB, MeshFormat.GLTF):
        root = (open_glb if kind is MeshFormat.GLB else open_gltf)(data).root
        return _of_gltf(root, materials)
    if kind is MeshFormat.OBJ:
        return _of_obj(data)
    if kind is MeshFormat.PLY and re.search(rb"^comment TextureFile", data[:HEAD_BYTES], re.M):
        return ["the texture, which is another file"]
    return []


def noted_in(path: Path) -> list[str]:
    """Read the names that were noted in the GLB that was made of a file."""
    words = notes_in(path).get(KEY, [])
    return [word for word in words if isinstance(word, str)][:MAX_WORDS]


def _of_gltf(root: dict[str, Any], kept: Sequence[Material]) -> list[str]:
    materials = _entries(root, "materials")
    shapes = [shape for mesh in _entries(root, "meshes") for shape in _entries(mesh, "primitives")]
    second = [shape.get("attributes", {}) for shape in shapes]
    with_mesh = sum("mesh" in node for node in _entries(root, "nodes"))
    has = {
        **{what: any(key in entry for entry in materials) for key, what in _TEXTURES.items()},
        "maps of roughness and metal": _has_lost_shine(materials, kept),
        "light that it gives off": any(_glows(entry) for entry in materials),
        "extensions of materials": any(entry.get("extensions") for entry in materials),
        "a second set of texture coordinates": any(
            isinstance(one, dict) and {"TEXCOORD_0", "TEXCOORD_1"} <= one.keys() for one in second
        ),
        "shape keys": any(shape.get("targets") for shape in shapes),
        **{what: bool(root.get(key)) for key, what in _LISTS.items()},
        _objects(with_mesh): with_mesh > 1,
    }
    return [what for what, there in has.items() if there]


def _has_lost_shine(entries: list[dict[str, Any]], kept: Sequence[Material]) -> bool:
    """Whether a material that was read had a map of roughness and metal and has none now."""
    surfaces = [entry.get("pbrMetallicRoughness") for entry in entries]
    shiny = {
        material_name(entry, key)
        for key, (entry, surface) in enumerate(zip(entries, surfaces, strict=True))
        if isinstance(surface, dict) and SHINE in surface
    }
    return any(look.metallic_roughness is None and look.name in shiny for look in kept)


def _glows(material: dict[str, Any]) -> bool:
    factor = material.get("emissiveFactor")
    return isinstance(factor, list) and any(factor)


def _of_obj(data: bytes) -> list[str]:
    objects = len(re.findall(rb"^[og][ \t]+\S", data, re.M))
    found = []
    if re.search(rb"^mtllib[ \t]", data, re.M):
        found.append("the colours and textures of its MTL file; send GLB to keep them")
    return [*found, *([_objects(objects)] if objects > 1 else [])]


def _objects(count: int) -> str:
    return f"the names of its {count:,} objects, which became one"


def _entries(holder: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = holder.get(key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
