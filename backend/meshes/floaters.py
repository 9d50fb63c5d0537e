"""Drops small bodies that hang in the air beside a mesh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from backend.meshes.face_selection import with_faces
from backend.meshes.triangle_mesh import TriangleMesh

LEAST_SHARE = 0.005


@dataclass(frozen=True)
class WithoutFloaters:
    """What is left, and what went.

    Parameters
    ----------
    mesh : TriangleMesh
        The same object where nothing went.
    dropped_bodies, dropped_faces : int
    """

    mesh: TriangleMesh
    dropped_bodies: int
    dropped_faces: int


def without_floaters(mesh: TriangleMesh, least_share: float = LEAST_SHARE) -> WithoutFloaters:
    """Drop connected bodies with few faces, never the largest.

    Parameters
    ----------
    least_share : float, 0 to 1
        Of all faces. Bodies with fewer go; 0 keeps all.
    """
    bodies = bodies_of_faces(mesh)
    sizes = np.bincount(bodies)
    return _without(mesh, bodies, sizes < least_share * len(mesh.faces))


def without_crumbs(mesh: TriangleMesh, least_share: float) -> WithoutFloaters:
    """Drop connected bodies that are small beside the largest, however many there are.

    Parameters
    ----------
    least_share : float, 0 to 1
        Of the faces of the largest body.
    """
    bodies = bodies_of_faces(mesh)
    sizes = np.bincount(bodies)
    return _without(mesh, bodies, sizes < least_share * sizes.max())


def _without(
    mesh: TriangleMesh, bodies: NDArray[np.int64], is_small: NDArray[np.bool_]
) -> WithoutFloaters:
    is_small[np.argmax(np.bincount(bodies))] = False
    if not is_small.any():
        return WithoutFloaters(mesh, 0, 0)
    faces = mesh.faces[~is_small[bodies]]
    return WithoutFloaters(
        with_faces(mesh, faces), int(is_small.sum()), len(mesh.faces) - len(faces)
    )


def bodies_of_faces(mesh: TriangleMesh) -> NDArray[np.int64]:
    """Number the bodies that faces belong to, (m,) int64; faces with a common vertex share one."""
    a, b, c = mesh.faces.T
    start, stop = np.concatenate([a, b]), np.concatenate([b, c])
    count = len(mesh.vertices)
    links = sparse.coo_matrix((np.ones(len(start), dtype=np.int8), (start, stop)), (count, count))
    of_vertices = connected_components(links, directed=False)[1]
    return np.unique(of_vertices[a], return_inverse=True)[1].astype(np.int64)
