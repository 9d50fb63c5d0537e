"""Points on an object and on its parts, as the networks that complete parts want them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from backend.meshes.mask_parts.clean_surface import face_crosses
from backend.meshes.mask_parts.surface_samples import SurfaceSamples, surface_samples

Reals: TypeAlias = NDArray[np.floating[Any]]

HALF_SIDE = 0.8
"""Half of an object's longest side, in units of the networks."""
SURFACE_POINTS = 81_920
"""Of one surface, as trained."""
OBJECT_SAMPLES = 249_856
"""Of the object, of which ``SURFACE_POINTS`` are kept."""


@dataclass(frozen=True)
class UnitMesh:
    """A mesh in units of the networks: its longest side goes from -0.8 to 0.8.

    Parameters
    ----------
    vertices : (v, 3) float64
    faces : (m, 3) int
    centre : (3,) float64
        Middle of the bounds in units of the file.
    scale : float
        Units of the file in one unit of the networks.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.integer[Any]]
    centre: NDArray[np.float64]
    scale: float

    def to_unit(self, points: Reals) -> NDArray[np.float64]:
        """Carry points, or corners of boxes, (..., 3), from the file over to the networks."""
        unit: NDArray[np.float64] = (np.asarray(points, np.float64) - self.centre) / self.scale
        return unit

    def to_world(self, points: Reals) -> NDArray[np.float64]:
        """Carry points, (..., 3), back to where the file has them."""
        world: NDArray[np.float64] = np.asarray(points, np.float64) * self.scale + self.centre
        return world


def unit_mesh(vertices: Reals, faces: NDArray[np.integer[Any]]) -> UnitMesh:
    """Scale a mesh to the size that the networks were trained with.

    Parameters
    ----------
    vertices : (v, 3) float
        Not changed. All of them count, those of no face too.
    faces : (m, 3) int

    Raises
    ------
    ValueError
        There are no vertices, one is not finite, or all are at one place.
    """
    places = np.asarray(vertices, np.float64)
    if not len(places) or not np.isfinite(places).all():
        raise ValueError("a mesh without vertices, or with some that are not finite, has no size")
    low, high = places.min(axis=0), places.max(axis=0)
    scale = float((high - low).max()) / 2 / HALF_SIDE
    if scale <= 0:
        raise ValueError("all vertices of the mesh are at one place")
    centre = (low + high) / 2
    return UnitMesh((places - centre) / scale, faces, centre, scale)


def object_surface(mesh: UnitMesh, seed: int, count: int = SURFACE_POINTS) -> NDArray[np.float32]:
    """Draw points on the whole object.

    Parameters
    ----------
    count : int

    Returns
    -------
    (count, 7) float32
        x, y, z and the normal, rounded to float16 as in training, after which normals are made
        unit vectors again; and 0, for no point is on an edge that was looked for.

    Raises
    ------
    ValueError
        No face has an area.
    """
    samples = surface_samples(mesh.vertices, mesh.faces, max(OBJECT_SAMPLES, count), seed)
    rounded = _rows(samples).astype(np.float16).astype(np.float32)
    chosen = np.random.default_rng(seed).choice(len(rounded), count, replace=False)
    return _with_unit_normals(rounded[chosen])


def faces_in_box(mesh: UnitMesh, box: Reals) -> NDArray[np.int64]:
    """Find the faces that a box stands for: those with any corner in it, the sides included.

    Parameters
    ----------
    box : (2, 3) float
        Lowest and highest corner in units of the networks.

    Returns
    -------
    (f,) int64
        Without faces that have no area. None at all if the box is empty.
    """
    low, high = np.asarray(box, np.float64)
    is_inside = np.ones(len(mesh.vertices), dtype=np.bool_)
    for axis in range(3):
        places = mesh.vertices[:, axis]
        is_inside &= (places >= low[axis]) & (places <= high[axis])
    found = np.flatnonzero(is_inside[mesh.faces].any(axis=1))
    return found[face_crosses(mesh.vertices[mesh.faces[found]]).any(axis=1)]


def part_surface(
    mesh: UnitMesh, faces: NDArray[np.integer[Any]], seed: int, count: int = SURFACE_POINTS
) -> NDArray[np.float32]:
    """Draw points on some faces of the object.

    Parameters
    ----------
    faces : (f,) int
        Indices, from ``faces_in_box``.

    Returns
    -------
    (count, 7) float32
        As those of the object, but not rounded.

    Raises
    ------
    ValueError
        No face has an area.
    """
    samples = surface_samples(mesh.vertices, mesh.faces[faces], count, seed)
    return _rows(samples).astype(np.float32)


def _rows(samples: SurfaceSamples) -> NDArray[np.float64]:
    no_edge = np.zeros((len(samples.raw), 1))
    return np.concatenate([samples.raw, samples.normals, no_edge], axis=1)


def _with_unit_normals(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    rows[:, 3:6] /= np.linalg.norm(rows[:, 3:6], axis=1, keepdims=True)
    return rows
