"""Fewer faces without opening the surface."""

from __future__ import annotations

from dataclasses import dataclass

import fast_simplification
import manifold3d
import numpy as np

from backend.meshes.pinched_edges import unpinched
from backend.meshes.triangle_mesh import TriangleMesh

AGGRESSIVENESS = (6, 3)
ENOUGH = 1.2
FIRST_TOLERANCE = 2e-4
TOLERANCE_GROWTH = 1.7
TOLERANCE_ROUNDS = 10
TRIM_ROUNDS = 3


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
        smaller = _collapsed(mesh, target_faces, aggressiveness)
        if smaller is not None:
            found.append(Simplified(smaller, "quadric"))
            break
    if len(found[-1].mesh.faces) > ENOUGH * target_faces:
        kept = _keep_manifold(mesh, target_faces)
        found += [Simplified(kept, "manifold")] if kept else []
    return min(found, key=lambda simplified: len(simplified.mesh.faces))


def _collapsed(mesh: TriangleMesh, target_faces: int, aggressiveness: float) -> TriangleMesh | None:
    """Collapse edges and part what that pinched; None when the surface does not stay closed.

    Parting adds a few faces, which are taken away again.
    """
    closed: TriangleMesh | None = None
    for _ in range(TRIM_ROUNDS):
        vertices, faces = fast_simplification.simplify(
            mesh.vertices, mesh.faces, target_count=target_faces, agg=aggressiveness
        )
        parted = unpinched(TriangleMesh.welded(vertices, faces))
        mesh = TriangleMesh.welded(parted.vertices, parted.faces)
        if not mesh.is_closed() or mesh.volume() <= 0:
            break
        closed = mesh
        if not len(faces) <= target_faces < len(mesh.faces):
            break
    return closed


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
