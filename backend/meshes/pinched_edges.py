"""Parts sheets of a surface that were left with an edge in common.

Where edges are collapsed a neck can close until two sheets meet in one edge. It then joins four
faces, and the surface counts as open although nothing is missing. One of the two sheets gets a
vertex of its own in the middle of that edge, a little inside the body. Faces that lie back to back
enclose nothing and go.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.meshes.triangle_mesh import Faces, TriangleMesh, Vertices

INWARDS = 0.02
ROUNDS = 8
MOST_PINCHES = 5_000


@dataclass(frozen=True)
class Wedge:
    """Two faces on one side of a pinched edge, with the body between them.

    Parameters
    ----------
    faces : tuple of int
        The face that runs along the edge, and the one that runs against it.
    tips : tuple of int
        Their vertices off the edge.
    """

    faces: tuple[int, int]
    tips: tuple[int, int]


def unpinched(mesh: TriangleMesh) -> TriangleMesh:
    """Part every edge of four or more faces; the same mesh where there is none.

    A surface whose edges join an uneven number of faces comes back open, as it was.
    """
    for _ in range(ROUNDS):
        pinches = _pinched_edges(mesh.faces)
        if not 0 < len(pinches) <= MOST_PINCHES:
            break
        flaps = _flaps(mesh.faces, pinches)
        if len(flaps):
            mesh = TriangleMesh(mesh.vertices, np.delete(mesh.faces, flaps, axis=0))
        else:
            mesh = _parted_once(mesh, pinches)
    return mesh


def _pinched_edges(faces: Faces) -> NDArray[np.int64]:
    """Find edges that run twice or more in both directions, (k, 2)."""
    start = faces.reshape(-1).astype(np.int64)
    stop = faces[:, [1, 2, 0]].reshape(-1).astype(np.int64)
    span = int(faces.max(initial=0)) + 1
    runs, times = np.unique(start * span + stop, return_counts=True)
    twice = runs[times > 1]
    ends = np.stack([twice // span, twice % span], axis=1)
    back = ends[:, 1] * span + ends[:, 0]
    return ends[(ends[:, 0] < ends[:, 1]) & np.isin(back, twice)]


def _flaps(faces: Faces, pinches: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find faces of the pinched edges that lie back to back with another one."""
    candidates = _touching(faces, pinches)
    corners = np.unique(faces[candidates], return_inverse=True)[1].reshape(-1, 3)
    turned = (np.argmin(corners, axis=1)[:, None] + np.arange(3)) % 3
    first, second, third = np.take_along_axis(corners, turned, axis=1).T
    span = int(corners.max(initial=0)) + 1
    front = (first * span + second) * span + third
    back = (first * span + third) * span + second
    return candidates[np.isin(front, back)]


def _touching(faces: Faces, edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the faces with two corners or more among the ends of edges."""
    return np.flatnonzero(np.isin(faces, edges).sum(axis=1) >= 2)


def _parted_once(mesh: TriangleMesh, pinches: NDArray[np.int64]) -> TriangleMesh:
    """Part the pinched edges that have no face in common; others wait for the next round."""
    vertices: list[NDArray[np.float64]] = []
    replaced: dict[int, list[tuple[int, int, int]]] = {}
    around = _faces_around(mesh.faces, pinches)
    for edge, near in zip(pinches.tolist(), around, strict=True):
        wedge = None if replaced.keys() & set(near) else _wedge(mesh, edge, near)
        if wedge is None:
            continue
        middle = len(mesh.vertices) + len(vertices)
        vertices.append(_inside(mesh.vertices, edge, wedge))
        (a, b), (ahead, behind) = edge, wedge.tips
        replaced[wedge.faces[0]] = [(a, middle, ahead), (middle, b, ahead)]
        replaced[wedge.faces[1]] = [(b, middle, behind), (middle, a, behind)]
    if not replaced:
        return mesh
    kept = np.delete(mesh.faces, list(replaced), axis=0)
    added = np.array([face for pair in replaced.values() for face in pair], dtype=np.int32)
    points = np.concatenate([mesh.vertices, np.array(vertices, dtype=np.float32)])
    return TriangleMesh(points, np.concatenate([kept, added]))


def _faces_around(faces: Faces, edges: NDArray[np.int64]) -> list[list[int]]:
    """List the faces that touch each edge with both ends."""
    candidates = _touching(faces, edges)
    corners = faces[candidates]
    found = []
    for a, b in edges.tolist():
        touches = (corners == a).any(axis=1) & (corners == b).any(axis=1)
        found.append(candidates[touches].tolist())
    return found


def _wedge(mesh: TriangleMesh, edge: list[int], near: list[int]) -> Wedge | None:
    """Choose a face along the edge and the first one against it that is met inside the body."""
    a, b = edge
    along, tips = {}, {}
    for face in near:
        corners = mesh.faces[face].tolist()
        at = corners.index(a)
        along[face] = corners[(at + 1) % 3] == b
        tips[face] = next(corner for corner in corners if corner not in (a, b))
    angles = _angles(mesh.vertices, edge, [tips[face] for face in near])
    order = [near[index] for index in np.argsort(-angles, kind="stable")]
    # Outwards is where the angle of a face along the edge grows, so the body is what follows here.
    for first, second in zip(order, order[1:] + order[:1], strict=True):
        if along[first] and not along[second]:
            return Wedge((first, second), (tips[first], tips[second]))
    return None


def _angles(vertices: Vertices, edge: list[int], tips: list[int]) -> NDArray[np.float64]:
    """Angles of faces around an edge in radians, counter-clockwise seen against its direction."""
    a, b = vertices[edge].astype(np.float64)
    axis = (b - a) / max(float(np.linalg.norm(b - a)), 1e-300)
    arms = vertices[tips].astype(np.float64) - a
    arms -= np.outer(arms @ axis, axis)
    across = np.cross(axis, arms[0])
    angles: NDArray[np.float64] = np.arctan2(arms @ across, arms @ arms[0] * _length(across, arms))
    return angles


def _length(across: NDArray[np.float64], arms: NDArray[np.float64]) -> float:
    """Scale both sides of an angle alike, whatever the length of the first arm."""
    return float(np.linalg.norm(across) / max(float(np.linalg.norm(arms[0])), 1e-300))


def _inside(vertices: Vertices, edge: list[int], wedge: Wedge) -> NDArray[np.float64]:
    """Place the new vertex: half way along the edge, a little into the wedge."""
    a, b = vertices[edge].astype(np.float64)
    middle = (a + b) / 2
    first, second = vertices[list(wedge.tips)].astype(np.float64) - middle
    inwards = np.cross(first, b - a) + np.cross(b - a, second)
    length = float(np.linalg.norm(inwards))
    step = INWARDS * float(np.linalg.norm(b - a)) / max(length, 1e-300)
    inside: NDArray[np.float64] = middle + step * inwards
    return inside
