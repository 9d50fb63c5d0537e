"""Reduces a mesh to a number of faces, with all it has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from backend.meshes.closing.half_edges import Indices, same_places
from backend.meshes.decimation.clustering import clustered
from backend.meshes.decimation.edge_table import SeamedFaces
from backend.meshes.decimation.seam_collapse import collapse_edges
from backend.meshes.mending.surface_edges import surface_edges
from backend.meshes.mending.vertex_merging import look_numbers
from backend.meshes.simplify import simplify
from backend.meshes.source_mesh import SourceMesh
from backend.meshes.triangle_mesh import TriangleMesh
from backend.meshes.validate import bodies

LEAST_CLUSTERED = 500  # faces; fewer would have nothing left of the shape


class DecimationMethod(StrEnum):
    """How faces were reduced."""

    NONE = "none"
    QUADRIC = "quadric"
    SEAM_KEEPING = "seam_keeping"
    CLUSTERING = "clustering"


@dataclass(frozen=True)
class Reduced:
    """The mesh and how it was reached."""

    mesh: SourceMesh
    method: DecimationMethod


def with_fewer_faces(
    mesh: SourceMesh, target_faces: int, on_round: Callable[[int], None] = lambda faces: None
) -> Reduced:
    """Reduce a mesh to at most ``target_faces`` faces, or as few as its shape allows.

    A plain closed mesh is simplified with new vertices; any other keeps a part of its own, with
    their texture coordinates and colours, so that textures stay where they were. Borders and
    seams keep their course. Edges that are sharp only by their normals are kept as long as the
    number can be reached with them. Where borders, seams or loose pieces do not allow it, vertices
    that lie close together are joined, unless that would leave nothing of the shape.

    Parameters
    ----------
    mesh : SourceMesh
        At least one face with an area.
    target_faces : int
        At least 4.
    on_round : callable
        Called now and then with the number of faces that are left; may raise to stop.
    """
    if len(mesh.faces) <= target_faces:
        return Reduced(mesh, DecimationMethod.NONE)
    simplified = _simplified(mesh, target_faces) if _is_plain(mesh) else None
    if simplified is not None:
        return Reduced(simplified, DecimationMethod.QUADRIC)
    on_round(len(mesh.faces))
    may_cluster = target_faces >= LEAST_CLUSTERED
    if may_cluster and _pieces(mesh) > target_faces:
        return Reduced(clustered(mesh, target_faces), DecimationMethod.CLUSTERING)
    exact = _collapsed(mesh, np.arange(len(mesh.vertices)), target_faces, may_cluster, on_round)
    if len(exact.faces) > target_faces:
        exact = _collapsed(exact, look_numbers(exact), target_faces, may_cluster, on_round)
    if len(exact.faces) > target_faces and may_cluster:
        return Reduced(clustered(exact, target_faces), DecimationMethod.CLUSTERING)
    return Reduced(exact, DecimationMethod.SEAM_KEEPING)


def _pieces(mesh: SourceMesh) -> int:
    """Count the pieces that hang together over edges: collapses leave a face of each."""
    places = same_places(mesh.vertices)[mesh.faces]
    a, b, c = places.T
    distinct = places[(a != b) & (b != c) & (c != a)]
    return int(surface_edges(distinct).bodies.max(initial=-1)) + 1


def _simplified(mesh: SourceMesh, target_faces: int) -> SourceMesh | None:
    """Simplify a closed mesh; None when it is open, or a body would vanish or faces be left over.

    What is no solid any more, two faces back to back, is closed as well, but nothing people want.
    """
    side = max(float(np.ptp(mesh.vertices, axis=0).max()), 1e-300)  # its limits are absolute
    welded = TriangleMesh.welded((mesh.vertices / side).astype(np.float32), mesh.faces)
    if not welded.is_closed():
        return None
    smaller = simplify(welded, target_faces).mesh
    if len(smaller.faces) > target_faces or bodies(smaller) != bodies(welded):
        return None
    kinds = np.full(len(smaller.faces), mesh.face_materials[0])
    vertices = (smaller.vertices.astype(np.float64) * side).astype(np.float32)
    plain = replace(SourceMesh.plain(smaller), vertices=vertices)
    return replace(plain, materials=mesh.materials, face_materials=kinds)


def _is_plain(mesh: SourceMesh) -> bool:
    """Whether nothing hangs on the vertices: no look, and no edge that is held apart."""
    if mesh.uvs is not None or mesh.colors is not None or np.ptp(mesh.face_materials):
        return False
    return int(same_places(mesh.vertices).max()) + 1 == len(mesh.vertices)


def _collapsed(
    mesh: SourceMesh,
    looks: Indices,
    target_faces: int,
    gives_up: bool,
    on_round: Callable[[int], None],
) -> SourceMesh:
    """Collapse edges; vertices of one look count as one."""
    first = np.unique(looks, return_index=True)[1]
    places = same_places(mesh.vertices)
    points = np.zeros((int(places.max()) + 1, 3))
    points[places] = mesh.vertices
    uvs = None if mesh.uvs is None else mesh.uvs[first].astype(np.float64)
    whole = _distinct(
        SeamedFaces(np.asarray(looks[mesh.faces]), places[first], mesh.face_materials)
    )
    found, points = collapse_edges(points, uvs, whole, target_faces, gives_up, on_round)
    moved = replace(mesh, vertices=points[places].astype(np.float32))
    return _of_wedges(moved, found, first)


def _distinct(faces: SeamedFaces) -> SeamedFaces:
    """Leave out faces that collapse to a line already."""
    a, b, c = faces.places.T
    alive = (a != b) & (b != c) & (c != a)
    return replace(faces, wedges=faces.wedges[alive], kinds=faces.kinds[alive])


def _of_wedges(mesh: SourceMesh, faces: SeamedFaces, first: Indices) -> SourceMesh:
    found = replace(mesh, faces=first[faces.wedges].astype(np.int32), face_materials=faces.kinds)
    return found.selected(np.ones(len(found.faces), dtype=bool))
