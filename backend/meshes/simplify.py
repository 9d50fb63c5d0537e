"""Fewer faces without opening the surface."""

from __future__ import annotations

from dataclasses import dataclass

import fast_simplification
import manifold3d
import numpy as np

from backend.meshes.triangle_mesh import TriangleMesh

AGGRESSIVENESS = (6, 3)
ENOUGH = 1.2
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
    found = [Simplified(mesh, "none")]
    for aggressiveness in AGGRESSIVENESS:
        vertices, faces = fast_simplification.simplify(
            mesh.vertices, mesh.faces, target_count=target_faces, agg=aggressiveness
        )
        smaller = TriangleMesh.welded(vertices, faces)
        if len(smaller.faces) and smaller.is_closed() and smaller.volume() > 0:
            found.append(Simplified(smaller, "quadric"))
            break
    if len(found[-1].mesh.faces) > ENOUGH * target_faces:
        kept = _keep_manifold(mesh, target_faces)
        found += [Simplified(kept, "manifold")] if kept else []
    return min(found, key=lambda simplified: len(simplified.mesh.faces))


def _keep_manifold(mesh: TriangleMesh, target_faces: int) -> TriangleMesh | None:
    solid = manifold3d.Manifold(manifold3d.Mesh(mesh.vertices, mesh.faces.astype(np.uint32)))
    if solid.status() != manifold3d.Error.NoError:
        return None
    tolerance = FIRST_TOLERANCE * float(np.linalg.norm(mesh.extents))
    best: TriangleMesh | None = None
    for _ in range(TOLERANCE_ROUNDS):
        found = solid.simplify(tolerance).to_mesh()
        smaller = TriangleMesh.welded(found.vert_properties[:, :3], found.tri_verts)
        if not smaller.is_closed():  # vertices that touch were merged
            break
        if best is None or len(smaller.faces) < len(best.faces):
            best = smaller
        if len(smaller.faces) <= target_faces:
            break
        tolerance *= TOLERANCE_GROWTH
    return best
