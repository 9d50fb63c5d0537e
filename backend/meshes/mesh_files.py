"""Writes a mesh with all it has as GLB, OBJ, PLY or STL, and says what a format cannot keep."""

from __future__ import annotations

import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.catalog import MeshFileFormat
from backend.meshes.closing.half_edges import Indices
from backend.meshes.export import png_bytes
from backend.meshes.glb_builder import GlbBuilder, Primitive
from backend.meshes.mending.vertex_merging import look_numbers
from backend.meshes.obj_rows import obj_corners, obj_rows
from backend.meshes.reading.vertex_colors import to_linear
from backend.meshes.shading_normals import shading_normals
from backend.meshes.shine_maps import shine_maps
from backend.meshes.source_mesh import AlphaMode, Material, SourceMesh

NAME = "model"
_DATE = (1980, 1, 1, 0, 0, 0)  # same input, same bytes
_ENDINGS = {"image/png": ".png", "image/jpeg": ".jpg"}
_STL_FACE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def write_mesh(mesh: SourceMesh, kind: MeshFileFormat, path: Path) -> None:
    """Write a mesh, at least one face; OBJ as a zip with its materials and textures."""
    writers = {
        MeshFileFormat.GLB: _write_glb,
        MeshFileFormat.OBJ: _write_obj_zip,
        MeshFileFormat.PLY: _write_ply,
        MeshFileFormat.STL: _write_stl,
    }
    writers[kind](mesh, path)


def not_kept(mesh: SourceMesh, kind: MeshFileFormat) -> list[str]:
    """Name what the mesh has and a file of this format does not."""
    is_textured = any(mesh.materials[k].texture for k in np.unique(mesh.face_materials))
    if kind not in (MeshFileFormat.STL, MeshFileFormat.PLY):
        return []
    has = {
        "textures": is_textured,
        "texture coordinates": mesh.uvs is not None,
        "materials": _has_looks(mesh),
        "vertex colours": mesh.colors is not None and kind is MeshFileFormat.STL,
    }
    return [name for name, there in has.items() if there]


def _has_looks(mesh: SourceMesh) -> bool:
    used = [mesh.materials[kind] for kind in np.unique(mesh.face_materials)]
    return len(used) > 1 or used[0].base_color != (1.0, 1.0, 1.0, 1.0)


def _by_material(mesh: SourceMesh) -> list[tuple[Material, NDArray[np.bool_]]]:
    used = np.unique(mesh.face_materials)
    return [(mesh.materials[kind], mesh.face_materials == kind) for kind in used]


def _write_glb(mesh: SourceMesh, path: Path) -> None:
    normals = shading_normals(mesh.vertices, mesh.faces)
    attributes: dict[str, NDArray[Any]] = {"POSITION": mesh.vertices, "NORMAL": normals}
    if mesh.uvs is not None:
        attributes["TEXCOORD_0"] = mesh.uvs
    if mesh.colors is not None:
        attributes["COLOR_0"] = to_linear(mesh.colors)
    builder = GlbBuilder()
    primitives = [
        Primitive(attributes, mesh.faces[chosen], builder.material(look, look.name))
        for look, chosen in _by_material(mesh)
    ]
    builder.node(NAME, primitives)
    builder.write(path)


def _points(mesh: SourceMesh) -> tuple[Indices, Indices]:
    """List a vertex for each place and colour, (p,), and number those of all vertices, (n,).

    So the surface is closed in the file wherever its colours do not break.
    """
    numbers = look_numbers(replace(mesh, uvs=None))
    return np.unique(numbers, return_index=True)[1], numbers


def _write_stl(mesh: SourceMesh, path: Path) -> None:
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(cross, axis=1, keepdims=True)
    faces = np.zeros(len(corners), dtype=_STL_FACE)
    faces["normal"] = np.where(lengths > 0, cross / np.maximum(lengths, 1e-300), 0)
    faces["corners"] = corners
    with path.open("wb") as file:
        file.write(b"Meshkiln".ljust(80, b" "))
        file.write(np.array(len(faces), dtype="<u4").tobytes())
        file.write(faces.tobytes())


def _write_ply(mesh: SourceMesh, path: Path) -> None:
    chosen, numbers = _points(mesh)
    fields: list[tuple[str, str]] = [(axis, "<f4") for axis in "xyz"]
    columns: list[NDArray[Any]] = [*mesh.vertices[chosen].T]
    if mesh.colors is not None:
        fields += [(name, "u1") for name in ("red", "green", "blue", "alpha")]
        columns += [*mesh.colors[chosen].T]
    vertices = np.zeros(len(chosen), dtype=fields)
    for (name, _), column in zip(fields, columns, strict=True):
        vertices[name] = column
    faces = np.zeros(len(mesh.faces), dtype=[("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, numbers[mesh.faces]
    words = {"<f4": "float", "u1": "uchar"}
    header = ["ply", "format binary_little_endian 1.0", "comment Meshkiln"]
    header += [f"element vertex {len(vertices)}"]
    header += [f"property {words[kind]} {name}" for name, kind in fields]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    path.write_bytes("\n".join([*header, ""]).encode() + vertices.tobytes() + faces.tobytes())


def _write_obj_zip(mesh: SourceMesh, path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        looks = _by_material(mesh)
        _add(archive, "model.obj", _obj_text(mesh, looks).encode())
        _add(archive, "model.mtl", _mtl_text(looks).encode())
        for number, (look, _) in enumerate(looks):
            if look.texture is not None:
                _add(archive, f"texture_{number}{_ENDINGS[look.texture.mime]}", look.texture.data)
            for name, picture in _shine_pictures(look, number).items():
                _add(archive, name, picture)


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, date_time=_DATE)
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, data, compresslevel=1)


def _shine_pictures(look: Material, number: int) -> dict[str, bytes]:
    """Encode the maps of roughness and metal of a material, by name of their file."""
    maps = shine_maps(look)
    if maps is None:
        return {}
    found = {"roughness": maps.roughness, "metallic": maps.metallic}
    return {f"{kind}_{number}.png": png_bytes(picture) for kind, picture in found.items()}


def _obj_names(looks: list[tuple[Material, NDArray[np.bool_]]]) -> list[str]:
    """Name materials as they are named; blanks end a name in OBJ, and none may come twice."""
    names: list[str] = []
    for number, (look, _) in enumerate(looks):
        name = re.sub(r"[^\w.-]+", "_", look.name) or "material"
        names.append(f"{name}_{number}" if name in names else name)
    return names


def _mtl_text(looks: list[tuple[Material, NDArray[np.bool_]]]) -> str:
    lines: list[str] = []
    for number, ((look, _), name) in enumerate(zip(looks, _obj_names(looks), strict=True)):
        red, green, blue = (max(value, 0.0) ** (1 / 2.2) for value in look.base_color[:3])
        lines += [f"newmtl {name}", f"Kd {red:.4f} {green:.4f} {blue:.4f}"]
        lines += [f"d {look.base_color[3]:.4f}", f"Pr {look.roughness:.4f}"]
        lines += [f"Pm {look.metallic:.4f}"]
        if look.texture is not None:
            picture = f"texture_{number}{_ENDINGS[look.texture.mime]}"
            lines.append(f"map_Kd {picture}")
            if look.alpha_mode is not AlphaMode.OPAQUE:
                lines.append(f"map_d {picture}")
        if look.metallic_roughness is not None:
            lines += [f"map_Pr roughness_{number}.png", f"map_Pm metallic_{number}.png"]
    return "\n".join(lines) + "\n"


def _obj_text(mesh: SourceMesh, looks: list[tuple[Material, NDArray[np.bool_]]]) -> str:
    """Write positions, with colours behind them, then texture coordinates, then faces."""
    chosen, numbers = _points(mesh)
    parts = [f"mtllib model.mtl\no {NAME}\n", _obj_points(mesh, chosen)]
    if mesh.uvs is not None:
        across, up = mesh.uvs.astype(np.float64).T
        parts.append(obj_rows("vt %.7g %.7g", np.column_stack([across, 1 - up])))
    for (_, own), name in zip(looks, _obj_names(looks), strict=True):
        corners = mesh.faces[own]
        lists = (numbers[corners],) if mesh.uvs is None else (numbers[corners], corners)
        parts += [f"usemtl {name}\n", obj_corners(*lists)]
    return "".join(parts)


def _obj_points(mesh: SourceMesh, chosen: Indices) -> str:
    if mesh.colors is None:
        return obj_rows("v %.9g %.9g %.9g", mesh.vertices[chosen])
    rows = np.concatenate([mesh.vertices[chosen], mesh.colors[chosen, :3] / 255], axis=1)
    return obj_rows("v %.9g %.9g %.9g %.4f %.4f %.4f", rows)
