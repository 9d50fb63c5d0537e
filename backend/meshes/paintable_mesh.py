"""A mesh that somebody gave, as texture engines take it, and the way back to what was given."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.errors import UnusableMesh
from backend.meshes.outline_fit import turned_to_front
from backend.meshes.positions import numbered_positions
from backend.meshes.shading_normals import shading_normals
from backend.meshes.source_mesh import SourceMesh
from backend.meshes.textured_mesh import TexturedMesh
from backend.meshes.texturing.surface_layout import SurfaceLayout
from backend.meshes.triangle_mesh import TriangleMesh

LEAST_AREA = 1e-14  # of the square of the longest side


@dataclass(frozen=True)
class PaintableMesh:
    """A mesh whose vertices are joined by place and whose faces have an area and look outwards.

    Parameters
    ----------
    given : SourceMesh
        As it was sent.
    mesh : TriangleMesh
        Its faces that have an area, in their order; its front faces +Z, the longest side is 1, the
        middle of the box is the origin, so that no engine meets a unit or a place that it cannot
        compute with.
    kept : (m,) bool
        Which of the given faces those are.
    places : (n,) int64
        Vertex of ``mesh`` for each given vertex.
    is_turned : bool
        Whether the corners of its faces run the other way round than those given.
    """

    given: SourceMesh
    mesh: TriangleMesh
    kept: NDArray[np.bool_]
    places: NDArray[np.int64]
    is_turned: bool

    @classmethod
    def of(cls, given: SourceMesh, front_deg: float = 0.0) -> PaintableMesh:
        """Take a mesh.

        Parameters
        ----------
        front_deg : float
            Where its front faces: 0 is +Z, 90 is +X.

        Raises
        ------
        UnusableMesh
            No face has an area.
        """
        places = numbered_positions(given.vertices)
        points = _normalised(given.vertices)[np.unique(places, return_index=True)[1]]
        faces = places[given.faces].astype(np.int32)
        kept = _areas(points, faces) > LEAST_AREA
        if not kept.any():
            raise UnusableMesh("None of its faces has an area, so that there is nothing to colour.")
        mesh = turned_to_front(TriangleMesh(points, faces[kept]), front_deg)
        is_turned = mesh.is_closed() and mesh.volume() < 0
        if is_turned:
            mesh = TriangleMesh(mesh.vertices, _turned(mesh.faces))
        return cls(given, mesh, kept, places, is_turned)

    def layout(self, layout: SurfaceLayout) -> SurfaceLayout:
        """Turn a layout of the given mesh into one of ``mesh``."""
        faces = layout.faces[self.kept]
        return SurfaceLayout(
            self.places[layout.sources], layout.uv, _turned(faces) if self.is_turned else faces
        )

    def restored(self, painted: TexturedMesh) -> TexturedMesh:
        """Give what was painted the vertices and faces of the given mesh, in their order.

        Parameters
        ----------
        painted : TexturedMesh
            With the faces of ``mesh``, in their order.
        """
        if len(painted.faces) != len(self.mesh.faces):
            raise ValueError("the engine changed the faces of the mesh")
        corners = self._corners(painted)
        count = len(painted.vertices)
        pairs = self.given.faces.astype(np.int64) * count + corners
        found, numbers = np.unique(pairs, return_inverse=True)
        vertices, painted_vertices = np.divmod(found, count)
        normals = shading_normals(self.given.vertices, self.given.faces)
        looks = [self.given.materials[kind] for kind in np.unique(self.given.face_materials)]
        return replace(
            painted,
            vertices=self.given.vertices[vertices],
            normals=normals[vertices],
            uv=painted.uv[painted_vertices],
            faces=numbers.reshape(-1, 3).astype(np.int32),
            is_double_sided=any(look.is_double_sided for look in looks),
        )

    def _corners(self, painted: TexturedMesh) -> NDArray[np.int64]:
        """Find the painted vertex of each corner of each given face, (m, 3).

        Faces without an area get one point of the texture: nobody sees which.
        """
        faces = _turned(painted.faces) if self.is_turned else painted.faces
        at_place = np.zeros(len(self.mesh.vertices), dtype=np.int64)
        at_place[self.mesh.faces] = painted.faces
        corners = np.repeat(at_place[self.places[self.given.faces[:, :1]]], 3, axis=1)
        corners[self.kept] = faces
        return corners


def _normalised(vertices: NDArray[np.float32]) -> NDArray[np.float32]:
    points = vertices.astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    longest = float((high - low).max())
    if longest <= 0:
        raise UnusableMesh("All of its vertices lie in one place.")
    normalised: NDArray[np.float32] = ((points - (low + high) / 2) / longest).astype(np.float32)
    return normalised


def _areas(points: NDArray[np.float32], faces: NDArray[np.int32]) -> NDArray[np.float64]:
    """Area of each face, (m,)."""
    corners = points.astype(np.float64)[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas: NDArray[np.float64] = np.linalg.norm(cross, axis=1) / 2
    return areas


def _turned(faces: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.ascontiguousarray(faces[:, [0, 2, 1]])
