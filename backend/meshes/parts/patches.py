"""Small compact patches whose borders lie where a part might end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, dijkstra

from backend.meshes.parts.creases import contrast
from backend.meshes.parts.mirror import Mirror
from backend.meshes.parts.surface import Surface

DISTANCE_WEIGHT = 0.03
TURN_WEIGHT = 0.485
CONVEX_SHARE = 0.15
THICKNESS_WEIGHT = 0.1
COLOR_WEIGHT = 0.5
LEAST_WEIGHT = 1e-6
CENTRAL_SHARE = 0.35
"""Of the width of a patch: a seed that is nearer to the mirror plane needs no second one."""


def crossing_costs(
    surface: Surface,
    thickness: NDArray[np.float64],
    colors: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Judge how hard it is to go from a face to its neighbour, (e,) float64.

    Parameters
    ----------
    thickness : (m,) float64
        Normalised shape diameter.
    colors : (m, 3) float64 or None
        CIE Lab.
    """
    i, j = surface.pairs.T
    away = np.linalg.norm(surface.centres[i] - surface.centres[j], axis=1)
    turn = np.where(surface.is_convex, CONVEX_SHARE, 1.0) * (1 - np.cos(surface.turns))
    change = np.abs(thickness[i] - thickness[j])
    differs = 0.0 if colors is None else contrast(colors[i], colors[j])
    return np.asarray(
        DISTANCE_WEIGHT * _relative(away)
        + TURN_WEIGHT * _relative(turn)
        + THICKNESS_WEIGHT * _relative(change)
        + COLOR_WEIGHT * differs
        + LEAST_WEIGHT
    )


def grow_patches(
    surface: Surface, costs: NDArray[np.float64], count: int, mirror: Mirror | None
) -> NDArray[np.int64]:
    """Divide a surface into patches by the cost of crossing its edges.

    Seeds lie as far from one another as can be, one per body at least; a second growth starts
    from the middles of the first, those of one side mirrored to the other.

    Parameters
    ----------
    costs : (e,) float64
        Of crossing each edge.
    count : int
        Patches beyond one per body.
    mirror : Mirror or None

    Returns
    -------
    (m,) int64
        Numbered from 0.
    """
    graph = surface.graph(costs)
    seeds = _far_seeds(surface, graph, count)
    labels = _grow(graph, seeds)
    middles = _middles(surface, labels)
    if mirror is not None:
        width = float(np.sqrt(surface.areas.sum() / len(middles)))
        middles = _mirrored(middles, mirror, CENTRAL_SHARE * width, graph)
    return _grow(graph, middles)


def _relative(values: NDArray[np.float64]) -> NDArray[np.float64]:
    mean = float(values.mean()) if len(values) else 0.0
    return values / (mean if mean > 0 else 1.0)


def _far_seeds(surface: Surface, graph: csr_matrix, count: int) -> list[int]:
    bodies = connected_components(graph, directed=False)[1]
    order = np.lexsort((-surface.areas, bodies))
    first = np.flatnonzero(np.diff(bodies[order], prepend=-1))
    seeds = [int(face) for face in order[first]]
    reach = dijkstra(graph, indices=seeds, min_only=True)
    target = min(len(seeds) + count, len(surface.faces))
    while len(seeds) < target:
        farthest = int(reach.argmax())
        if reach[farthest] <= 0:
            break
        seeds.append(farthest)
        near = dijkstra(graph, indices=np.array([farthest]), limit=float(reach[farthest]))
        np.minimum(reach, near[0], out=reach)
    return seeds


def _grow(graph: csr_matrix, seeds: list[int]) -> NDArray[np.int64]:
    _, _, sources = dijkstra(graph, indices=seeds, min_only=True, return_predecessors=True)
    return np.unique(sources, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _middles(surface: Surface, labels: NDArray[np.int64]) -> list[int]:
    areas = np.bincount(labels, surface.areas)
    sums = [np.bincount(labels, surface.areas * surface.centres[:, axis]) for axis in range(3)]
    means = np.stack(sums, axis=1) / np.maximum(areas, 1e-300)[:, None]
    away = np.linalg.norm(surface.centres - means[labels], axis=1)
    order = np.lexsort((away, labels))
    return [int(face) for face in order[np.flatnonzero(np.diff(labels[order], prepend=-1))]]


def _mirrored(seeds: list[int], mirror: Mirror, central: float, graph: csr_matrix) -> list[int]:
    """Replace the seeds on one side of the plane by the images of those on the other."""
    at = np.array(seeds)
    has_image = mirror.images[at] >= 0
    is_above = mirror.sides[at] > central
    is_central = np.abs(mirror.sides[at]) <= central
    images = mirror.images[at[is_above & has_image]]
    chosen = np.unique(np.concatenate([at[is_above | is_central | ~has_image], images]))
    bodies = connected_components(graph, directed=False)[1]
    bare = ~np.isin(bodies[at], bodies[chosen])
    return [int(face) for face in np.concatenate([chosen, at[bare]])]
