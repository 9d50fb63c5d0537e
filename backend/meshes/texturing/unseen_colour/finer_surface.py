"""Large faces cut into small ones, together with their place in the texture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.meshes.texturing.surface_layout import SurfaceLayout
from backend.meshes.triangle_mesh import TriangleMesh

NODES = 18_000
FILL_FACTOR = 1.5
"""Longest edge over the edge of equal triangles, of which ``NODES`` cover the surface."""
MOST_NODES = 26_000
ROUNDS = 14
CORNERS = ((0, 1), (1, 2), (2, 0))


def finer(mesh: TriangleMesh, layout: SurfaceLayout) -> tuple[TriangleMesh, SurfaceLayout]:
    """Halve long edges until vertices lie about evenly, or there are enough.

    No gaps open: an edge is halved for all faces beside it, on both sides of a seam.

    Parameters
    ----------
    mesh : TriangleMesh
    layout : SurfaceLayout
        Of this mesh.

    Returns
    -------
    TriangleMesh, SurfaceLayout
        The same surface; those given where the mesh is fine enough.
    """
    corners = mesh.vertices.astype(np.float64)[mesh.faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = float(np.linalg.norm(across, axis=1).sum()) / 2
    if not area > 0:
        return mesh, layout
    longest = FILL_FACTOR * np.sqrt(area / NODES * 2 / np.sqrt(3))
    places, sources = mesh.vertices.astype(np.float64), layout.sources
    uv, faces = layout.uv.astype(np.float64), layout.faces.astype(np.int64)
    for _ in range(ROUNDS):
        if len(places) >= MOST_NODES:
            break
        long = _long_edges(places, sources, faces, longest, MOST_NODES - len(places))
        if not long.any():
            break
        places, sources, uv, faces = _halved(places, sources, uv, faces, long)
    if len(places) == len(mesh.vertices):
        return mesh, layout
    finer_layout = SurfaceLayout(sources, uv.astype(np.float32), faces.astype(np.int32))
    finer_faces = sources[faces].astype(np.int32)
    return TriangleMesh(places.astype(np.float32), finer_faces), finer_layout


def _long_edges(
    places: NDArray[np.float64],
    sources: NDArray[np.int64],
    faces: NDArray[np.int64],
    longest: float,
    room: int,
) -> NDArray[np.bool_]:
    """Say which edges of which faces are too long, (m, 3) bool; only the longest where room is."""
    corners = sources[faces]
    ends = np.stack([corners, np.roll(corners, -1, axis=1)], axis=2).reshape(-1, 2)
    low, high = ends.min(axis=1), ends.max(axis=1)
    length = np.linalg.norm(places[low] - places[high], axis=1)
    keys, which = np.unique(low * len(places) + high, return_inverse=True)
    lengths = np.zeros(len(keys))
    lengths[which] = length
    long = lengths > longest
    if np.count_nonzero(long) > room:
        bound = np.sort(lengths)[-room - 1]
        long &= lengths > bound
    chosen: NDArray[np.bool_] = long[which].reshape(-1, 3)
    return chosen


def _halved(
    places: NDArray[np.float64],
    sources: NDArray[np.int64],
    uv: NDArray[np.float64],
    faces: NDArray[np.int64],
    long: NDArray[np.bool_],
) -> tuple[
    NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]
]:  # fmt: skip
    ends = np.stack([faces, np.roll(faces, -1, axis=1)], axis=2)[long]
    low, high = ends.min(axis=1), ends.max(axis=1)
    keys, which = np.unique(low * len(uv) + high, return_inverse=True)
    one, other = keys // len(uv), keys % len(uv)
    ties = np.sort(np.stack([sources[one], sources[other]], axis=1), axis=1)
    tie_keys, tied = np.unique(ties[:, 0] * len(places) + ties[:, 1], return_inverse=True)
    first, second = tie_keys // len(places), tie_keys % len(places)
    middle = np.full(long.shape, -1, dtype=np.int64)
    middle[long] = len(uv) + which
    return (
        np.concatenate([places, (places[first] + places[second]) / 2]),
        np.concatenate([sources, len(places) + tied]),
        np.concatenate([uv, (uv[one] + uv[other]) / 2]),
        _cut(faces, middle),
    )


def _cut(faces: NDArray[np.int64], middle: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cut each face by the middles of its edges (-1: none) into one to four."""
    is_cut = middle >= 0
    count = is_cut.sum(axis=1)
    pieces = [faces[count == 0]]
    for edge in range(3):  # turn each face so that the odd edge comes first
        turn = [edge, (edge + 1) % 3, (edge + 2) % 3]
        only = (count == 1) & is_cut[:, edge]
        a, b, c = faces[only][:, turn].T
        m = middle[only, edge]
        pieces += [np.stack([a, m, c], axis=1), np.stack([m, b, c], axis=1)]
        spared = (count == 2) & ~is_cut[:, edge]
        a, b, c = faces[spared][:, turn].T
        n, o = middle[spared][:, turn[1:]].T
        pieces += [np.stack(three, axis=1) for three in ((a, b, n), (a, n, o), (o, n, c))]
    every = count == 3
    a, b, c = faces[every].T
    m, n, o = middle[every].T
    thirds = ((a, m, o), (m, b, n), (o, n, c), (m, n, o))
    pieces += [np.stack(three, axis=1) for three in thirds]
    return np.concatenate(pieces)
