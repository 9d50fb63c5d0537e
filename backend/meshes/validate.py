"""The checks a mesh must pass before a job may succeed."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.csgraph import connected_components

from backend.errors import MeshInvalid, NoSurfaceFound
from backend.meshes.triangle_mesh import TriangleMesh

MIN_FACES = 12
MAX_FACES = 2_000_000
MIN_SIZE_M, MAX_SIZE_M = 1e-4, 1e3


def validate(mesh: TriangleMesh) -> dict[str, Any]:
    """Check a mesh in metres and describe it.

    Returns
    -------
    dict
        ``vertices``, ``faces``, ``bodies``, ``closed``, ``volume_m3``, ``extents_m``.

    Raises
    ------
    NoSurfaceFound
        It is empty.
    MeshInvalid
        Not finite, not closed, faces not oriented alike, inside out, or of absurd size.
    """
    if len(mesh.faces) < MIN_FACES:
        raise NoSurfaceFound(f"The surface has only {len(mesh.faces)} faces.")
    if len(mesh.faces) > MAX_FACES:
        raise MeshInvalid(f"The mesh has {len(mesh.faces)} faces, more than {MAX_FACES}.")
    if not np.isfinite(mesh.vertices).all():
        raise MeshInvalid("Some positions are not finite numbers.")
    if int(mesh.faces.min()) < 0 or int(mesh.faces.max()) >= len(mesh.vertices):
        raise MeshInvalid("Some faces name vertices that do not exist.")
    if not mesh.is_closed():
        raise MeshInvalid("The surface is not closed, or its faces are not oriented alike.")
    size = float(mesh.extents.max())
    if not MIN_SIZE_M <= size <= MAX_SIZE_M:
        raise MeshInvalid(f"The longest side is {size:.3g} m.")
    volume = mesh.volume()
    if volume <= 0:
        raise MeshInvalid("The surface is inside out or encloses nothing.")
    return {
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "bodies": bodies(mesh),
        "closed": True,
        "volume_m3": float(f"{volume:.6g}"),
        "extents_m": [float(f"{side:.6g}") for side in mesh.extents],
    }


def bodies(mesh: TriangleMesh) -> int:
    """Number of connected pieces."""
    a, b, c = mesh.faces.T
    start, stop = np.concatenate([a, b]), np.concatenate([b, c])
    count = len(mesh.vertices)
    links = sparse.coo_matrix((np.ones(len(start)), (start, stop)), (count, count))
    return int(connected_components(links, directed=False)[0])
