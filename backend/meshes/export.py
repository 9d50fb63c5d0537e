"""Files people can open: GLB, OBJ in a zip, STL, PLY. Y is up, units are metres."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image

from backend.meshes.glb_builder import GlbBuilder, Primitive
from backend.meshes.obj_rows import obj_corners, obj_rows
from backend.meshes.source_mesh import EncodedImage, Material
from backend.meshes.textured_mesh import (
    METALLIC_CHANNEL,
    ROUGHNESS_CHANNEL,
    Rgb,
    TexturedMesh,
)
from backend.meshes.triangle_mesh import TriangleMesh, vertex_normals

ROUGHNESS, METALLIC = 0.8, 0.0
PLAIN_COLOUR = (0.745, 0.761, 0.8, 1.0)
JPEG_QUALITY = 92
FAST_COMPRESSION = 1
NAME = "model"

_MTL = ("newmtl model", "Kd 1 1 1", "Ks 0 0 0")
_PLAIN_MTL = (f"Pr {ROUGHNESS:g}", f"Pm {METALLIC:g}", "map_Kd texture.png")
_SHINY_MTL = ("Pr 1", "Pm 1", "map_Kd texture.png", "map_Pr roughness.png", "map_Pm metallic.png")


def look_of(mesh: TexturedMesh) -> Material:
    """Return its one material, with its textures encoded as GLB files hold them."""
    shine = mesh.metallic_roughness
    factors = (METALLIC, ROUGHNESS) if shine is None else (1.0, 1.0)
    return Material(
        NAME,
        metallic=factors[0],
        roughness=factors[1],
        texture=EncodedImage(jpeg_bytes(mesh.texture), "image/jpeg"),
        is_double_sided=mesh.is_double_sided,
        metallic_roughness=None if shine is None else EncodedImage(jpeg_bytes(shine), "image/jpeg"),
    )


def write_glb(
    mesh: TriangleMesh | TexturedMesh, path: Path, notes: Mapping[str, Any] | None = None
) -> None:
    """Write one GLB with one PBR material, textured if the mesh is, and notes on the file."""
    attributes: dict[str, NDArray[np.float32]] = {"POSITION": mesh.vertices}
    if isinstance(mesh, TexturedMesh):
        look = look_of(mesh)
        attributes["NORMAL"] = mesh.normals
        # glTF counts from the top of the picture
        attributes["TEXCOORD_0"] = np.column_stack([mesh.uv[:, 0], 1 - mesh.uv[:, 1]])
    else:
        look = Material(NAME, PLAIN_COLOUR, METALLIC, ROUGHNESS)
        attributes["NORMAL"] = vertex_normals(mesh)
    builder = GlbBuilder(extras=dict(notes or {}))
    kind = builder.material(look, NAME)
    builder.node(NAME, [Primitive(attributes, mesh.faces, kind)])
    builder.write(path)


def write_obj_zip(
    mesh: TriangleMesh | TexturedMesh, path: Path, compression: int = FAST_COMPRESSION
) -> None:
    """Write model.obj, model.mtl and the textures into a zip, deflated at a level from 0 to 9.

    With maps of roughness and metal there are ``roughness.png`` and ``metallic.png`` beside
    ``texture.png``.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        if isinstance(mesh, TexturedMesh):
            _add(archive, "model.obj", _obj_text(mesh).encode(), compression)
            maps = mtl_maps(mesh)
            told = _MTL + (_PLAIN_MTL if len(maps) == 1 else _SHINY_MTL)
            _add(archive, "model.mtl", "\n".join([*told, ""]).encode(), compression)
            for name, picture in maps.items():
                _add(archive, name, png_bytes(picture, compression), compression)
        else:
            _add(archive, "model.obj", _plain_obj_text(mesh).encode(), compression)


def mtl_maps(mesh: TexturedMesh) -> dict[str, NDArray[np.uint8]]:
    """Return what a material of OBJ names, by file: (h, w, 3) colour, (h, w) the others."""
    maps: dict[str, NDArray[np.uint8]] = {"texture.png": mesh.texture}
    if mesh.metallic_roughness is not None:
        maps["roughness.png"] = mesh.metallic_roughness[..., ROUGHNESS_CHANNEL]
        maps["metallic.png"] = mesh.metallic_roughness[..., METALLIC_CHANNEL]
    return maps


def write_stl(mesh: TriangleMesh, path: Path) -> None:
    """Write the welded mesh as binary STL."""
    data: Any = mesh.as_trimesh().export(file_type="stl")
    path.write_bytes(data)


def write_ply(mesh: TriangleMesh, path: Path) -> None:
    """Write the welded mesh as binary PLY."""
    data: Any = mesh.as_trimesh().export(file_type="ply")
    path.write_bytes(data)


def reload_welded(path: Path) -> trimesh.Trimesh:
    """Read a file back as another program would, merged by position alone."""
    mesh: Any = trimesh.load(path, force="mesh", process=False)
    mesh.merge_vertices(merge_tex=True, merge_norm=True)
    reloaded: trimesh.Trimesh = mesh
    return reloaded


def jpeg_bytes(texture: Rgb) -> bytes:
    """Encode a texture as it is kept inside GLB files."""
    buffer = io.BytesIO()
    Image.fromarray(texture).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def png_bytes(picture: NDArray[np.uint8], compression: int = FAST_COMPRESSION) -> bytes:
    """Encode a picture, (h, w) grey or (h, w, 3), without loss."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "PNG", compress_level=compression)
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, data: bytes, compression: int) -> None:
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))  # same input, same bytes
    entry.compress_type = zipfile.ZIP_DEFLATED
    # Such an entry does not follow the level of its archive.
    archive.writestr(entry, data, compresslevel=compression)


def _obj_text(mesh: TexturedMesh) -> str:
    parts = (
        f"mtllib model.mtl\no {NAME}\nusemtl {NAME}\n",
        obj_rows("v %.7g %.7g %.7g", mesh.vertices),
        obj_rows("vt %.6f %.6f", mesh.uv),
        obj_rows("vn %.4f %.4f %.4f", mesh.normals),
        obj_corners(mesh.faces, mesh.faces, mesh.faces),
    )
    return "".join(parts)


def _plain_obj_text(mesh: TriangleMesh) -> str:
    return f"o {NAME}\n{obj_rows('v %.7g %.7g %.7g', mesh.vertices)}{obj_corners(mesh.faces)}"
