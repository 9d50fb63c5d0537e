"""Writes a mesh with all it was given with into one GLB, in its own order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.meshes.glb_builder import GlbBuilder, Primitive
from backend.meshes.reading.not_read import KEY
from backend.meshes.reading.vertex_colors import to_linear
from backend.meshes.source_mesh import SourceMesh

NAME = "mesh"
MAX_PRIMITIVES = 4096


def write_source_mesh(mesh: SourceMesh, path: Path, not_read: Sequence[str] = ()) -> None:
    """Write a mesh as GLB.

    Parameters
    ----------
    mesh : SourceMesh
        With at least one face.
    path : Path
        The file to write.
    not_read : sequence of str
        What the file that it comes from holds beside; noted in the GLB.

    Notes
    -----
    There is one primitive for each run of faces that have the same material, all over the same
    vertices, so that ``read_mesh`` gives vertices and faces back in the order they had. Where the
    material changes more than 4096 times, faces are sorted by material, each material's in order.
    """
    attributes: dict[str, NDArray[Any]] = {"POSITION": mesh.vertices}
    if mesh.uvs is not None:
        attributes["TEXCOORD_0"] = mesh.uvs
    if mesh.colors is not None:
        attributes["COLOR_0"] = to_linear(mesh.colors)
    builder = GlbBuilder(extras={KEY: [*not_read]} if not_read else {})
    numbers = [builder.material(look, look.name) for look in mesh.materials]
    primitives = [
        Primitive(attributes, faces, numbers[kind]) for kind, faces in _runs_of_material(mesh)
    ]
    builder.node(NAME, primitives)
    builder.write(path)


def _runs_of_material(mesh: SourceMesh) -> list[tuple[int, NDArray[np.int32]]]:
    faces, kinds = mesh.faces, mesh.face_materials
    changes = np.flatnonzero(np.diff(kinds)) + 1
    if len(changes) >= MAX_PRIMITIVES:
        order = np.argsort(kinds, kind="stable")
        faces, kinds = faces[order], kinds[order]
        changes = np.flatnonzero(np.diff(kinds)) + 1
    starts = [0, *changes.tolist()]
    return [
        (int(kinds[start]), run)
        for start, run in zip(starts, np.split(faces, changes), strict=True)
    ]
