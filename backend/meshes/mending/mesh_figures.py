"""What can be told of a mesh by counting: its size, how it is closed, what is wrong with it."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image

from backend.meshes.closing.body_nesting import bodies_to_turn, body_boxes
from backend.meshes.closing.half_edges import Indices, Points, same_places
from backend.meshes.closing.solidity import face_normals, face_volumes
from backend.meshes.mending.surface_edges import SurfaceEdges, surface_edges
from backend.meshes.source_mesh import EncodedImage, SourceMesh

NO_AREA = 1e-12  # of the square of the longest side


@dataclass(frozen=True)
class TextureFigures:
    """One texture; its size is None where it cannot be told from its header."""

    material: str
    mime: str
    size_bytes: int
    width_px: int | None
    height_px: int | None


@dataclass(frozen=True)
class MeshFigures:
    """Figures of a mesh in metres.

    Vertices in one place count as one wherever it says places, edges or bodies.

    Parameters
    ----------
    volume_m3 : float or None
        None where the surface is open or its faces look to different sides.
    flipped_edges : int
        Edges whose two faces look to different sides.
    degenerate_faces : int
        Faces without an area.
    duplicate_faces : int
        Faces beyond the first with the same corners, whichever way they look.
    inward_bodies : int
        Closed bodies that are inside out; hollows within others are none.
    """

    vertices: int
    places: int
    faces: int
    bodies: int
    extents_m: tuple[float, float, float]
    area_m2: float
    volume_m3: float | None
    is_watertight: bool
    border_edges: int
    border_loops: int
    non_manifold_edges: int
    flipped_edges: int
    degenerate_faces: int
    duplicate_faces: int
    inward_bodies: int
    has_uvs: bool
    has_vertex_colors: bool
    materials: int
    textures: tuple[TextureFigures, ...]

    def document(self) -> dict[str, Any]:
        """JSON-ready figures."""
        lists = {
            "extents_m": [*self.extents_m],
            "textures": [asdict(texture) for texture in self.textures],
        }
        return asdict(self) | lists


def measure_mesh(mesh: SourceMesh) -> MeshFigures:
    """Count and measure a mesh.

    Parameters
    ----------
    mesh : SourceMesh
        At least one face, all positions finite; in metres.
    """
    used = np.unique(mesh.faces)
    places = same_places(mesh.vertices)
    all_faces = places[mesh.faces].astype(np.int64)
    points = _place_points(mesh, places)
    areas = np.linalg.norm(face_normals(points, all_faces), axis=1)
    extents = np.ptp(mesh.vertices[used].astype(np.float64), axis=0)
    a, b, c = all_faces.T
    distinct = (a != b) & (b != c) & (c != a)
    faces = all_faces[distinct]
    edges = surface_edges(faces)
    return MeshFigures(
        vertices=len(mesh.vertices),
        places=len(np.unique(places[used])),
        faces=len(mesh.faces),
        bodies=int(edges.bodies.max(initial=-1)) + 1,
        extents_m=(_short(extents[0]), _short(extents[1]), _short(extents[2])),
        area_m2=_short(areas.sum()),
        volume_m3=_volume(points, faces, edges),
        is_watertight=edges.is_watertight,
        border_edges=len(edges.border),
        border_loops=edges.border_loops,
        non_manifold_edges=edges.non_manifold,
        flipped_edges=edges.clashing,
        degenerate_faces=int((~distinct | (areas <= NO_AREA * extents.max() ** 2)).sum()),
        duplicate_faces=_repeated(faces),
        inward_bodies=_inward_bodies(points, faces, edges),
        has_uvs=mesh.uvs is not None,
        has_vertex_colors=mesh.colors is not None,
        materials=len(np.unique(mesh.face_materials)),
        textures=_textures(mesh),
    )


def _place_points(mesh: SourceMesh, places: Indices) -> Points:
    points = np.zeros((int(places.max()) + 1, 3))
    points[places] = mesh.vertices
    return points


def _repeated(faces: Indices) -> int:
    ranked = np.sort(faces, axis=1)
    order = np.lexsort(ranked.T)
    return int((ranked[order[1:]] == ranked[order[:-1]]).all(axis=1).sum())


def _volume(points: Points, faces: Indices, edges: SurfaceEdges) -> float | None:
    if not len(faces) or not edges.is_watertight or edges.clashing:
        return None
    return _short(face_volumes(points, faces).sum())


def _inward_bodies(points: Points, faces: Indices, edges: SurfaceEdges) -> int:
    """Count closed bodies that are inside out."""
    closed = ~edges.is_open
    if not closed.any():
        return 0
    kept, bodies = np.unique(edges.bodies[closed], return_inverse=True)
    faces = faces[closed]
    volumes = np.bincount(bodies, face_volumes(points, faces), len(kept)).astype(np.float64)
    return int(bodies_to_turn(volumes, body_boxes(points, faces, bodies, len(kept))).sum())


def _textures(mesh: SourceMesh) -> tuple[TextureFigures, ...]:
    used = [mesh.materials[kind] for kind in np.unique(mesh.face_materials)]
    return tuple(_texture(look.name, look.texture) for look in used if look.texture is not None)


def _texture(name: str, texture: EncodedImage) -> TextureFigures:
    try:
        with Image.open(io.BytesIO(texture.data)) as image:
            width, height = image.size
    except (OSError, ValueError, Image.DecompressionBombError):
        return TextureFigures(name, texture.mime, len(texture.data), None, None)
    return TextureFigures(name, texture.mime, len(texture.data), width, height)


def _short(value: float) -> float:
    return float(f"{value:.6g}")
