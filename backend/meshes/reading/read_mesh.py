"""Reads a mesh of any format we take, and checks it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from backend.errors import MeshCorrupt, MeshTooLarge
from backend.meshes.reading.gltf_file import read_glb, read_gltf
from backend.meshes.reading.mesh_checks import check_mesh
from backend.meshes.reading.mesh_format import MeshFormat, mesh_format
from backend.meshes.reading.mesh_limits import MeshLimits
from backend.meshes.reading.obj_file import read_obj
from backend.meshes.reading.ply_file import read_ply
from backend.meshes.reading.stl_file import read_binary_stl, read_text_stl
from backend.meshes.source_mesh import SourceMesh

_READERS: dict[MeshFormat, Callable[[bytes, MeshLimits], SourceMesh]] = {
    MeshFormat.GLB: read_glb,
    MeshFormat.GLTF: read_gltf,
    MeshFormat.OBJ: read_obj,
    MeshFormat.PLY: read_ply,
    MeshFormat.STL: read_binary_stl,
    MeshFormat.STL_TEXT: read_text_stl,
}
_WRONG_BYTES = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, EOFError,
    RecursionError, struct.error,
)  # fmt: skip


@dataclass(frozen=True)
class JudgedMesh:
    """A mesh that passed all checks, the format it came in, and its separate pieces."""

    mesh: SourceMesh
    format: MeshFormat
    components: int


def read_mesh(path: Path, limits: MeshLimits | None = None) -> SourceMesh:
    """Read a mesh file of any format we take.

    Parameters
    ----------
    path : Path
        GLB, glTF, OBJ, PLY or STL; nothing beside it is opened.
    limits : MeshLimits, optional
        How much is read.

    Raises
    ------
    EmptyFile, UnsupportedMesh, MeshCorrupt, UnusableMesh, MeshTooLarge, ExternalResource,
    UnsupportedExtension
    """
    return judge_mesh(path.read_bytes(), limits or MeshLimits()).mesh


def judge_mesh(data: bytes, limits: MeshLimits) -> JudgedMesh:
    """Read and check the bytes of a mesh file; raises as ``read_mesh`` does.

    Notes
    -----
    Every count is compared with the bytes that are there before memory is taken for it. What the
    readers did not foresee becomes MeshCorrupt all the same. How much memory and time reading
    takes in all is for the process to limit: see ``backend.meshes.reading.__main__``.
    """
    kind = mesh_format(data)
    try:
        mesh = _READERS[kind](data, limits)
        return JudgedMesh(mesh, kind, check_mesh(mesh, limits))
    except MemoryError as error:
        raise MeshTooLarge("Reading it takes more memory than is allowed.") from error
    except _WRONG_BYTES as error:
        raise MeshCorrupt(f"It contradicts itself, so that it cannot be read as {kind}.") from error
