"""Things put together from simple bodies, so that the part of every face is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import fast_simplification
import numpy as np
from numpy.typing import NDArray
from skimage.measure import marching_cubes

from backend.meshes.triangle_mesh import TriangleMesh
from bench.inflate_quality import Field, Points, ball, box, capsule, torus, turned, union

REACH = 1.25
BLEND = 0.02
"""Bodies flow into one another over about this length, as things do that were cast or carved."""


@dataclass(frozen=True)
class Assembly:
    """One thing.

    Parameters
    ----------
    parts : tuple of Field
        Signed distance of each part; a face belongs to the part that it is deepest in.
    hollow : Field or None
        What is carved out of all of them.
    """

    parts: tuple[Field, ...]
    hollow: Field | None = None


@dataclass(frozen=True)
class Tessellation:
    """How a thing becomes triangles.

    Parameters
    ----------
    cells : int
        Of the grid along each side.
    noise : float
        Deviation of the vertices; things are about 2 long.
    faces : int or None
        How many to keep.
    has_slits : bool
        Whether blocks of faces are quartered and those beside them are not, as in files from CAD.
    """

    cells: int
    noise: float = 0.0
    faces: int | None = None
    has_slits: bool = False


TESSELLATIONS = {
    "fine": Tessellation(112),
    "noisy": Tessellation(80, noise=0.003),
    "coarse": Tessellation(80, faces=1500),
}
HARD_TESSELLATIONS = {
    "grainy": Tessellation(80, noise=0.006),
    "rough": Tessellation(80, noise=0.02),
    "slit": Tessellation(80, faces=1500, has_slits=True),
}
BLOCKS_PER_LENGTH = 2.3


def ellipsoid(half: tuple[float, float, float], centre: tuple[float, float, float]) -> Field:
    """Give an approximate distance to an ellipsoid."""
    radii, middle = np.array(half), np.array(centre)

    def distance(p: Points) -> NDArray[np.float64]:
        share = np.linalg.norm((p - middle) / radii, axis=-1)
        steep = np.linalg.norm((p - middle) / radii**2, axis=-1)
        return np.asarray(share * (share - 1) / np.maximum(steep, 1e-9))

    return distance


def moved(field: Field, by: tuple[float, float, float]) -> Field:
    """Move a body."""
    return lambda p: field(p - np.array(by))


def about_y(field: Field, angle_rad: float) -> Field:
    """Turn a body about the upright axis."""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return lambda p: field(p @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]))


def _doll() -> Assembly:
    return Assembly(
        (
            ellipsoid((0.3, 0.4, 0.25), (0, 0, 0)),
            ellipsoid((0.26, 0.28, 0.26), (0, 0.62, 0)),
            ellipsoid((0.36, 0.1, 0.1), (-0.52, 0.22, 0)),
            ellipsoid((0.36, 0.1, 0.1), (0.52, 0.22, 0)),
            ellipsoid((0.12, 0.42, 0.12), (-0.17, -0.66, 0)),
            ellipsoid((0.12, 0.42, 0.12), (0.17, -0.66, 0)),
        )
    )


def _table() -> Assembly:
    legs = (capsule((x, -0.8, z), (x, 0, z), 0.07) for x in (-0.7, 0.7) for z in (-0.45, 0.45))
    return Assembly((box((0.9, 0.06, 0.6)), *legs))


def _chair() -> Assembly:
    legs = (capsule((x, -0.85, z), (x, -0.1, z), 0.06) for x in (-0.4, 0.4) for z in (-0.4, 0.4))
    back = box((0.5, 0.5, 0.05), (0, 0.5, -0.45))
    return Assembly((box((0.5, 0.06, 0.5), (0, -0.05, 0)), back, *legs))


def _hand() -> Assembly:
    fingers = (
        capsule((0.22 * i, 0.2, 0), (0.3 * i, 0.85 - 0.05 * abs(i), 0), 0.09)
        for i in (-1.5, -0.5, 0.5, 1.5)
    )
    thumb = capsule((0.3, -0.25, 0), (0.8, 0.1, 0.1), 0.1)
    return Assembly((ellipsoid((0.5, 0.5, 0.16), (0, -0.2, 0)), *fingers, thumb))


def _mug() -> Assembly:
    body = turned(lambda y: np.full_like(y, 0.5), 0.6)
    hollow = moved(turned(lambda y: np.full_like(y, 0.42), 0.6), (0, 0.1, 0))
    handle = moved(torus(0.32, 0.07), (0.62, 0, 0))
    return Assembly((body, handle), hollow)


def _gear() -> Assembly:
    teeth = (about_y(box((0.12, 0.15, 0.1), (0.85, 0, 0)), 2 * np.pi * i / 10) for i in range(10))
    disc = turned(lambda y: np.full_like(y, 0.76), 0.15)
    shaft = turned(lambda y: np.full_like(y, 0.18), 0.6)
    return Assembly((disc, shaft, *teeth))


def _ant() -> Assembly:
    legs = (
        capsule((0.3 * i, 0, 0.1 * side), (0.5 * i, -0.35, 0.75 * side), 0.05)
        for i in (-1, 0, 1)
        for side in (-1, 1)
    )
    feelers = (capsule((0.85, 0.1, 0), (1.1, 0.4, 0.3 * side), 0.04) for side in (-1, 1))
    return Assembly(
        (
            ellipsoid((0.38, 0.15, 0.16), (0, 0, 0)),
            ellipsoid((0.38, 0.26, 0.28), (-0.68, 0.05, 0)),
            ellipsoid((0.25, 0.2, 0.22), (0.58, 0.05, 0)),
            *legs,
            *feelers,
        )
    )


def _octopus() -> Assembly:
    angles = 2 * np.pi * np.arange(8) / 8
    arms = (
        capsule((0.25 * c, -0.1, 0.25 * s), (1.0 * c, -0.5, 1.0 * s), 0.09)
        for c, s in zip(np.cos(angles), np.sin(angles), strict=True)
    )
    return Assembly((ellipsoid((0.38, 0.5, 0.38), (0, 0.25, 0)), *arms))


def _plier() -> Assembly:
    ends = ((-0.28, -0.95), (0.28, -0.95), (-0.1, 0.8), (0.1, 0.8))
    arms = (capsule((x * 0.4, 0.12 * np.sign(y), 0), (x, y, 0), 0.085) for x, y in ends)
    return Assembly((ball(0.22), *arms))


def _vase() -> Assembly:
    foot = moved(turned(lambda y: np.full_like(y, 0.36), 0.06), (0, -0.8, 0))
    stem = capsule((0, -0.8, 0), (0, -0.4, 0), 0.12)
    bowl = ellipsoid((0.5, 0.5, 0.5), (0, 0, 0))
    neck = moved(turned(lambda y: np.full_like(y, 0.24), 0.25), (0, 0.65, 0))
    inside = union(ball(0.42), capsule((0, 0, 0), (0, 1.2, 0), 0.17))
    return Assembly((union(foot, stem), bowl, neck), inside)


ASSEMBLIES = {
    "doll": _doll,
    "table": _table,
    "chair": _chair,
    "hand": _hand,
    "mug": _mug,
    "gear": _gear,
    "ant": _ant,
    "octopus": _octopus,
    "plier": _plier,
    "vase": _vase,
}


def assemblies(
    tessellations: Mapping[str, Tessellation],
) -> Iterator[tuple[str, str, TriangleMesh, NDArray[np.int64]]]:
    """Make every thing in every tessellation: its name, the tessellation, mesh, part per face."""
    for name, make in ASSEMBLIES.items():
        for kind, tessellation in tessellations.items():
            mesh, labels = tessellated(make(), tessellation)
            yield name, kind, mesh, labels


def tessellated(
    assembly: Assembly, tessellation: Tessellation, seed: int = 0
) -> tuple[TriangleMesh, NDArray[np.int64]]:
    """Make the surface of a thing, and the part of each of its faces, (m,) int64."""
    side = np.linspace(-REACH, REACH, tessellation.cells)
    points = np.stack(np.meshgrid(side, side, side, indexing="ij"), axis=-1)
    values = -BLEND * np.log(
        sum(np.exp(-np.clip(part(points) / BLEND, -60, 60)) for part in assembly.parts)
    )
    if assembly.hollow:
        values = np.maximum(values, -assembly.hollow(points))
    vertices, faces, _, _ = marching_cubes(values, 0.0)
    vertices = vertices * (side[1] - side[0]) - REACH
    random = np.random.default_rng(seed)
    vertices = vertices + tessellation.noise * random.standard_normal(vertices.shape)
    if tessellation.faces:
        vertices, faces = fast_simplification.simplify(
            vertices.astype(np.float32), faces.astype(np.int32), target_count=tessellation.faces
        )
    mesh = TriangleMesh.welded(vertices, faces)
    if tessellation.has_slits:
        mesh = slit(mesh)
    centres = mesh.vertices[mesh.faces].mean(axis=1, dtype=np.float64)
    return mesh, np.argmin([part(centres) for part in assembly.parts], axis=0)


def slit(mesh: TriangleMesh) -> TriangleMesh:
    """Quarter the faces of every other block of space, so that corners lie on edges."""
    vertices, faces = mesh.vertices.astype(np.float64), mesh.faces.astype(np.int64)
    blocks = np.floor(vertices[faces].mean(axis=1) * BLOCKS_PER_LENGTH).sum(axis=1)
    chosen = blocks % 2 == 0
    a, b, c = faces[chosen].T
    middles = np.concatenate([vertices[[x, y]].mean(axis=0) for x, y in ((a, b), (b, c), (c, a))])
    p, q, r = len(vertices) + np.arange(len(middles)).reshape(3, -1)
    quarters = [np.stack(face, axis=1) for face in ((a, p, r), (p, b, q), (r, q, c), (p, q, r))]
    return TriangleMesh(
        np.concatenate([vertices, middles]).astype(np.float32),
        np.concatenate([faces[~chosen], *quarters]).astype(np.int32),
    )
