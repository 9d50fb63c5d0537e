"""Fewer faces without opening the surface."""

from __future__ import annotations

from dataclasses import dataclass

import fast_simplification
import manifold3d
import numpy as np

from backend.meshes.triangle_mesh import TriangleMesh

AGGRESSIVENESS = (6, 3)
FIRST_TOLERANCE = 2e-4
TOLERANCE_GROWTH = 1.7
TOLERANCE_ROUNDS = 10


@dataclass(frozen=True)
class Simplified:
    """The result and how it was reached: 'none', 'quadric' or 'manifold'."""

    mesh: TriangleMesh
    method: str


def simplify(mesh: TriangleMesh, target_faces: int) -> Simplified:
    """Reduce a closed mesh to about ``target_faces`` faces; it stays closed.

    Quadric collapse first, slower and gentler next, then a simplification that keeps the
    manifold by construction; the mesh itself when none of them leaves it closed.
    """
    if len(mesh.faces) <= target_faces:
        return Simplified(mesh, "none")
    for aggressiveness in AGGRESSIVENESS:
        vertices, faces = fast_simplification.simplify(
            mesh.vertices, mesh.faces, target_count=target_faces, agg=aggressiveness
        )
        smaller = TriangleMesh.welded(vertices, faces)
        if len(smaller.faces) and smaller.is_closed() and smaller.volume() > 0:
            return Simplified(smaller, "quadric")
    kept = _keep_manifold(mesh, target_faces)
    return Simplified(kept, "manifold") if kept else Simplified(mesh, "none")


def _keep_manifold(mesh: TriangleMesh, target_faces: int) -> TriangleMesh | None:
    solid = manifold3d.Manifold(manifold3d.Mesh(mesh.vertices, mesh.faces.astype(np.uint32)))
    if solid.status() != manifold3d.Error.NoError:
        return None
    tolerance = FIRST_TOLERANCE * float(np.linalg.norm(mesh.extents))
    for _ in range(TOLERANCE_ROUNDS):
        smaller = solid.simplify(tolerance)
        if smaller.num_tri() <= target_faces:
            break
        tolerance *= TOLERANCE_GROWTH
    found = smaller.to_mesh()
    welded = TriangleMesh.welded(found.vert_properties[:, :3], found.tri_verts)
    return welded if len(welded.faces) and welded.is_closed() else None
