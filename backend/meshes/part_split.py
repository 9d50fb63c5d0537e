"""Cuts a mesh into meshes by a label per face; nothing is welded, moved or filled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from backend.meshes.shading_normals import shading_normals
from backend.meshes.source_mesh import SourceMesh
from backend.meshes.triangle_mesh import Normals


@dataclass(frozen=True)
class ShadedMesh:
    """A mesh and the normals to light it by.

    Parameters
    ----------
    normals : (n, 3) float32
        Unit length.
    """

    mesh: SourceMesh
    normals: Normals

    @classmethod
    def of(cls, mesh: SourceMesh) -> ShadedMesh:
        """Work the normals out."""
        return cls(mesh, shading_normals(mesh.vertices, mesh.faces))

    def with_vertices_of(
        self, vertices: NDArray[np.integer], faces: NDArray[np.integer]
    ) -> ShadedMesh:
        """Take vertices by number and name them anew; the materials of faces stay.

        Parameters
        ----------
        vertices : (k,) int
            Numbers of vertices of this mesh.
        faces : (m, 3) int
            Corners, as positions in ``vertices``.
        """
        mesh = self.mesh
        made = replace(
            mesh,
            vertices=mesh.vertices[vertices],
            faces=faces.astype(np.int32),
            uvs=None if mesh.uvs is None else mesh.uvs[vertices],
            colors=None if mesh.colors is None else mesh.colors[vertices],
        )
        return ShadedMesh(made, self.normals[vertices])


def split(shaded: ShadedMesh, labels: NDArray[np.integer], count: int) -> list[ShadedMesh]:
    """Return the mesh of each label, in the order of labels; faces keep theirs.

    Parameters
    ----------
    labels : (m,) int
        From 0 to ``count - 1``; a label without faces gives an empty mesh.
    """
    mesh = shaded.mesh
    order = np.argsort(labels, kind="stable")
    bounds = np.searchsorted(labels[order], np.arange(count + 1))
    place = np.zeros(len(mesh.vertices), dtype=np.int32)
    made = []
    for start, stop in pairwise(bounds.tolist()):
        chosen = order[start:stop]
        used = np.unique(mesh.faces[chosen])
        place[used] = np.arange(len(used), dtype=np.int32)
        part = shaded.with_vertices_of(used, place[mesh.faces[chosen]])
        kinds = replace(part.mesh, face_materials=mesh.face_materials[chosen])
        made.append(replace(part, mesh=kinds))
    return made


def split_at_borders(
    shaded: ShadedMesh, labels: NDArray[np.integer]
) -> tuple[ShadedMesh, NDArray[np.int64]]:
    """Double the vertices that faces of several labels use, so that each vertex has one label.

    Returns
    -------
    ShadedMesh
        The same faces in the same order.
    (n,) int64
        Label of each vertex.
    """
    mesh = shaded.mesh
    owners = np.repeat(labels.astype(np.int64), 3)
    keys = owners * len(mesh.vertices) + mesh.faces.reshape(-1)
    found, corners = np.unique(keys, return_inverse=True)
    vertex_labels, vertices = np.divmod(found, max(len(mesh.vertices), 1))
    return shaded.with_vertices_of(vertices, corners.reshape(-1, 3)), vertex_labels
