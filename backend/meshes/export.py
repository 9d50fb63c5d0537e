"""Files people can open: GLB, OBJ in a zip, STL, PLY. Y is up, units are metres."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image

from backend.meshes.atlas import Rgb, TexturedMesh
from backend.meshes.glb_builder import GlbBuilder, Primitive
from backend.meshes.source_mesh import EncodedImage, Material
from backend.meshes.triangle_mesh import TriangleMesh, vertex_normals

ROUGHNESS, METALLIC = 0.8, 0.0
PLAIN_COLOUR = (0.745, 0.761, 0.8, 1.0)
JPEG_QUALITY = 92
FAST_COMPRESSION = 1
NAME = "model"

_MTL = """\
newmtl model
Kd 1 1 1
Ks 0 0 0
Pr 0.8
Pm 0
map_Kd texture.png
"""


def write_glb(mesh: TriangleMesh | TexturedMesh, path: Path) -> None:
    """Write one GLB with one PBR material, textured if the mesh is."""
    attributes: dict[str, NDArray[np.float32]] = {"POSITION": mesh.vertices}
    if isinstance(mesh, TexturedMesh):
        texture = EncodedImage(jpeg_bytes(mesh.texture), "image/jpeg")
        look = Material(NAME, metallic=METALLIC, roughness=ROUGHNESS, texture=texture)
        attributes["NORMAL"] = mesh.normals
        # glTF counts from the top of the picture
        attributes["TEXCOORD_0"] = np.column_stack([mesh.uv[:, 0], 1 - mesh.uv[:, 1]])
    else:
        look = Material(NAME, PLAIN_COLOUR, METALLIC, ROUGHNESS)
        attributes["NORMAL"] = vertex_normals(mesh)
    builder = GlbBuilder()
    kind = builder.material(look, NAME)
    builder.node(NAME, [Primitive(attributes, mesh.faces, kind)])
    builder.write(path)


def write_obj_zip(
    mesh: TriangleMesh | TexturedMesh, path: Path, compression: int = FAST_COMPRESSION
) -> None:
    """Write model.obj, model.mtl and texture.png into a zip, deflated at a level from 0 to 9."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        if isinstance(mesh, TexturedMesh):
            _add(archive, "model.obj", _obj_text(mesh).encode(), compression)
            _add(archive, "model.mtl", _MTL.encode(), compression)
            _add(archive, "texture.png", _png(mesh.texture, compression), compression)
        else:
            _add(archive, "model.obj", _plain_obj_text(mesh).encode(), compression)


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


def _png(texture: Rgb, compression: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(texture).save(buffer, "PNG", compress_level=compression)
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, data: bytes, compression: int) -> None:
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))  # same input, same bytes
    entry.compress_type = zipfile.ZIP_DEFLATED
    # Such an entry does not follow the level of its archive.
    archive.writestr(entry, data, compresslevel=compression)


def _obj_text(mesh: TexturedMesh) -> str:
    lines = ["mtllib model.mtl", f"o {NAME}", f"usemtl {NAME}"]
    lines += [f"v {x:.7g} {y:.7g} {z:.7g}" for x, y, z in mesh.vertices.tolist()]
    lines += [f"vt {u:.6f} {v:.6f}" for u, v in mesh.uv.tolist()]
    lines += [f"vn {x:.4f} {y:.4f} {z:.4f}" for x, y, z in mesh.normals.tolist()]
    lines += [f"f {a}/{a}/{a} {b}/{b}/{b} {c}/{c}/{c}" for a, b, c in (mesh.faces + 1).tolist()]
    return "\n".join(lines) + "\n"


def _plain_obj_text(mesh: TriangleMesh) -> str:
    lines = [f"o {NAME}"]
    lines += [f"v {x:.7g} {y:.7g} {z:.7g}" for x, y, z in mesh.vertices.tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (mesh.faces + 1).tolist()]
    return "\n".join(lines) + "\n"
