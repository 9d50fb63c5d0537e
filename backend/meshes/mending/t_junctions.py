"""Splits edges against which the corners of their neighbours rest, so that both sides can meet."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from backend.meshes.closing.half_edges import Indices, Points, same_places
from backend.meshes.closing.joined_surface import JoinedSurface
from backend.meshes.source_mesh import SourceMesh

_Kind = TypeVar("_Kind", np.float32, np.uint8)
NEARNESS = 1e-5  # of the longest side: how far from an edge a corner may lie to rest on it
MAX_BORDER_EDGES = 100_000  # beyond, the mesh is no surface with some slits any more


@dataclass(frozen=True)
class _Split:
    """A border edge, and the border points on it in order.

    Parameters
    ----------
    half : int
        Half-edge of the surface.
    shares : (p,) float64
        Where on the edge the points are, from 0 to 1.
    points : (p, 3) float64
    """

    half: int
    shares: Points
    points: Points


def split_t_junctions(mesh: SourceMesh, surface: JoinedSurface) -> tuple[SourceMesh, int]:
    """Split border edges where, on the other side, shorter ones lead from end to end.

    Parameters
    ----------
    mesh : SourceMesh
    surface : JoinedSurface
        The mesh joined.

    Returns
    -------
    mesh : SourceMesh
        Split faces are at the end, with texture and colours as they were.
    count : int
        Edges that were split; of a face with several, one at a time.
    """
    if not 3 <= len(surface.borders) <= MAX_BORDER_EDGES:
        return mesh, 0
    by_face = {split.half // 3: split for split in _splits(surface)}
    if not by_face:
        return mesh, 0
    return _with_splits(mesh, surface, [*by_face.values()]), len(by_face)


def _splits(surface: JoinedSurface) -> list[_Split]:
    """Find the edges that others accompany from end to end."""
    half = surface.borders
    start, stop = _border_ends(surface)
    fans = np.concatenate([start, stop])
    places = same_places(surface.points[fans])
    points = np.zeros((int(places.max()) + 1, 3))
    points[places] = surface.points[fans]
    ends = places.reshape(2, -1).T
    known = {tuple(sorted(pair)) for pair in ends.tolist()}
    middles = points[ends].mean(axis=1)
    lengths = np.linalg.norm(points[ends[:, 1]] - points[ends[:, 0]], axis=1)
    near = NEARNESS * float(np.ptp(surface.points, axis=0).max())
    found = cKDTree(points).query_ball_point(middles, lengths / 2 + near)
    splits = []
    for row in np.flatnonzero(np.array([len(one) for one in found]) > 2):
        chosen, shares = _on_edge(points, ends[row], np.array(found[row]), near)
        chain = [int(ends[row, 0]), *chosen.tolist(), int(ends[row, 1])]
        steps = itertools.pairwise(chain)
        if len(chosen) and all(tuple(sorted(step)) in known for step in steps):
            splits.append(_Split(int(half[row]), shares, points[chosen]))
    return splits


def _border_ends(surface: JoinedSurface) -> tuple[Indices, Indices]:
    nexts = np.roll(surface.faces, -1, axis=1)
    return surface.faces.reshape(-1)[surface.borders], nexts.reshape(-1)[surface.borders]


def _on_edge(points: Points, ends: Indices, near: Indices, most: float) -> tuple[Indices, Points]:
    """Return the points on an edge but for its ends, in order, and their shares of it."""
    near = near[~np.isin(near, ends)]
    first, second = points[ends]
    along = second - first
    shares = (points[near] - first) @ along / max(float(along @ along), 1e-300)
    away = np.linalg.norm(points[near] - first - shares[:, None] * along, axis=1)
    inside = (away <= most) & (shares > 0) & (shares < 1)
    order = np.argsort(shares[inside], kind="stable")
    return near[inside][order], shares[inside][order]


def _with_splits(mesh: SourceMesh, surface: JoinedSurface, splits: list[_Split]) -> SourceMesh:
    """Replace each face by a fan around the corner that faces the edge."""
    keep = np.ones(len(mesh.faces), dtype=bool)
    faces, kinds, points, ends, shares = [], [], [], [], []
    count = len(mesh.vertices)
    for split in splits:
        face, corner = divmod(split.half, 3)
        source = int(surface.sources[face])
        corners = mesh.faces[source][[0, 2, 1]] if surface.turned[face] else mesh.faces[source]
        here, there, apex = np.roll(corners, -corner)
        new = count + np.arange(len(split.points))
        count += len(new)
        chain = np.concatenate([[here], new, [there]])
        fan = np.stack([chain[:-1], chain[1:], np.full(len(new) + 1, apex)], axis=1)
        faces.append(fan[:, [1, 0, 2]] if surface.turned[face] else fan)
        kinds.append(np.full(len(fan), mesh.face_materials[source]))
        points.append(split.points)
        ends.append(np.tile([[here, there]], (len(new), 1)))
        shares.append(split.shares)
        keep[source] = False
    between, share = np.concatenate(ends), np.concatenate(shares)[:, None]
    return replace(
        mesh,
        vertices=np.concatenate([mesh.vertices, *points]).astype(np.float32),
        faces=np.concatenate([mesh.faces[keep], *faces]).astype(np.int32),
        uvs=None if mesh.uvs is None else _mixed(mesh.uvs, between, share),
        colors=None if mesh.colors is None else _mixed(mesh.colors, between, share),
        face_materials=np.concatenate([mesh.face_materials[keep], *kinds]).astype(np.int16),
    )


def _mixed(values: NDArray[_Kind], between: Indices, share: Points) -> NDArray[_Kind]:
    """Add a row for each new vertex, between those of two others."""
    first, second = (values[between[:, end]].astype(np.float64) for end in (0, 1))
    rows = first + share * (second - first)
    if np.issubdtype(values.dtype, np.integer):
        rows = rows.round()
    return np.concatenate([values, rows.astype(values.dtype)])
