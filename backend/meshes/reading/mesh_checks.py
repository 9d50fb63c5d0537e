"""What every mesh must fulfil, whatever file it came from."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from backend.errors import MeshTooLarge, UnusableMesh
from backend.meshes.reading.mesh_limits import MeshLimits
from backend.meshes.reading.welding import place_numbers
from backend.meshes.source_mesh import SourceMesh

_AREA_CHUNK = 1 << 19
_LEAST_AREA = 1e-12  # of the square of the longest side


def check_face_count(faces: int, limits: MeshLimits, *, is_all: bool = True) -> None:
    """Refuse too many faces before they are read; raises MeshTooLarge.

    ``is_all`` tells whether these are all there are, or those that were read so far.
    """
    if faces > limits.faces:
        shown = f"{faces:,} faces" if is_all else f"{faces:,} faces or more"
        raise MeshTooLarge(
            f"It has {shown}; at most {limits.faces:,} are taken.",
            advice=f"Reduce it to {limits.faces:,} faces or fewer and send it again.",
        )


def check_vertex_count(vertices: int, limits: MeshLimits) -> None:
    """Refuse more vertices than so many faces can use; raises MeshTooLarge."""
    if vertices > limits.vertices:
        raise MeshTooLarge(
            f"It has {vertices:,} vertices; at most {limits.vertices:,} are taken.",
            advice="Delete the vertices that no face uses and send it again.",
        )


def check_indices(faces: NDArray[np.integer], vertices: int) -> None:
    """Refuse faces that name vertices that are not there; raises UnusableMesh."""
    if not len(faces):
        return
    lowest, highest = int(faces.min()), int(faces.max())
    if lowest < 0 or highest >= vertices:
        wrong = lowest if lowest < 0 else highest
        raise UnusableMesh(
            f"A face names vertex {wrong:,}, but there are only {vertices:,} (counted from 0)."
        )


def check_mesh(mesh: SourceMesh, limits: MeshLimits) -> int:
    """Check a mesh that was read.

    Returns
    -------
    int
        Separate pieces, vertices in one place counted as one.

    Raises
    ------
    UnusableMesh
        No faces, positions that are no finite or no sane numbers, indices out of range, no area.
    MeshTooLarge
        Too many faces, vertices or pieces.
    """
    if not len(mesh.faces):
        raise UnusableMesh("It has no faces.", advice="Export a surface, not points or lines.")
    check_face_count(len(mesh.faces), limits)
    check_indices(mesh.faces, len(mesh.vertices))
    check_vertex_count(len(mesh.vertices), limits)
    _check_positions(mesh.vertices, limits)
    _check_area(mesh)
    pieces = _pieces(mesh)
    if pieces > limits.components:
        raise MeshTooLarge(
            f"It has {pieces:,} separate pieces; at most {limits.components:,} are taken.",
            advice="Join or delete loose pieces (a scan may need cleaning) and send it again.",
        )
    return pieces


def _check_positions(vertices: NDArray[np.float32], limits: MeshLimits) -> None:
    bad = len(vertices) - int(np.count_nonzero(np.isfinite(vertices).all(axis=1)))
    if bad:
        raise UnusableMesh(f"{bad:,} of {len(vertices):,} positions are not finite numbers.")
    largest = float(np.abs(vertices).max())
    if largest > limits.coordinate:
        raise UnusableMesh(
            f"A coordinate is {largest:.3g}; at most {limits.coordinate:.0e} is taken.",
            advice="Scale the mesh down and move it to the origin.",
        )


def _check_area(mesh: SourceMesh) -> None:
    used = mesh.vertices[np.unique(mesh.faces)] if len(mesh.faces) < 1000 else mesh.vertices
    side = float(np.ptp(used, axis=0).max())
    if side <= 0 or surface_area(mesh) <= _LEAST_AREA * side**2:
        raise UnusableMesh("Its faces have no area: each is a point or a line.")


def surface_area(mesh: SourceMesh) -> float:
    """Sum the area of all faces, a part of them at a time to spare memory."""
    total = 0.0
    for start in range(0, len(mesh.faces), _AREA_CHUNK):
        corners = mesh.vertices[mesh.faces[start : start + _AREA_CHUNK]].astype(np.float64)
        edges = corners[:, 1:] - corners[:, :1]
        cross = np.cross(edges[:, 0], edges[:, 1])
        total += float(np.sqrt(np.einsum("ij,ij->i", cross, cross)).sum()) / 2
    return total


def _pieces(mesh: SourceMesh) -> int:
    places = place_numbers(mesh.vertices)
    count = int(places.max()) + 1
    a, b, c = (places[mesh.faces[:, corner]] for corner in range(3))
    start, stop = np.concatenate([a, b]), np.concatenate([b, c])
    links = sparse.coo_matrix((np.ones(len(start), dtype=np.int8), (start, stop)), (count, count))
    labels = connected_components(links, directed=False)[1]
    return len(np.unique(labels[a]))  # vertices without a face are no pieces
