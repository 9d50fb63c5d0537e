"""Straightens the borders of parts, and keeps the merge list valid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from backend.meshes.parts.part_tree import PartTree
from backend.meshes.parts.surface import Surface

BAND_SHARE = 0.04
CONVEX_SHARE = 0.1
SOFT_TURN_RAD = 0.3
"""A crease of this angle counts as 1/e of its length."""
LEAST_LEFT = 0.6
SMOOTHING_ROUNDS = 24
MIDDLE_SHARE = 0.2
"""Of the patches: a count between all of them and the suggested parts."""


def straighten_all_borders(surface: Surface, tree: PartTree) -> NDArray[np.int64]:
    """Straighten the borders of patches, then of ever fewer parts down to the suggested number.

    What comes later wins, so that the borders of the suggested parts are the best; above that
    count no border is left as it was when the patches grew.

    Parameters
    ----------
    tree : PartTree
        Over the faces of the surface.

    Returns
    -------
    (m,) int64
        Patches.
    """
    patches = tree.face_patches.astype(np.int64)
    middle = max(round(MIDDLE_SHARE * tree.patch_count), tree.suggested)
    counts = {tree.patch_count, middle, tree.suggested}
    for count in sorted(counts, reverse=True):
        patches = straighten_borders(surface, patches, tree.patch_parts(count))
    return patches


def straighten_borders(
    surface: Surface, patches: NDArray[np.int64], patch_parts: NDArray[np.int32]
) -> NDArray[np.int64]:
    """Move faces near the borders of parts so that these become short and follow creases.

    Near a border each face takes the part with most weight around it, again and again, where
    weight passes badly through concave creases. A face that comes to another part joins the
    nearest patch there, so that each part stays a union of patches.

    Parameters
    ----------
    patches : (m,) int64
    patch_parts : (k,) int32
        The part of each patch.

    Returns
    -------
    (m,) int64
        Patches.
    """
    parts = patch_parts[patches].astype(np.int64)
    i, j = surface.pairs.T
    if not (parts[i] != parts[j]).any():
        return patches
    band = _near_borders(surface, parts)
    moved = _not_eaten(surface, parts, _settled(surface, parts, band))
    changed = moved != parts
    return _rejoined(surface, patches, moved, changed)


def _near_borders(surface: Surface, parts: NDArray[np.int64]) -> NDArray[np.bool_]:
    i, j = surface.pairs.T
    across = parts[i] != parts[j]
    starts = np.unique(surface.pairs[across])
    away = np.linalg.norm(surface.centres[i] - surface.centres[j], axis=1)
    reach = BAND_SHARE * surface.size
    return np.asarray(
        dijkstra(surface.graph(away + 1e-9), indices=starts, min_only=True, limit=reach) <= reach
    )


def _settled(
    surface: Surface, parts: NDArray[np.int64], band: NDArray[np.bool_]
) -> NDArray[np.int64]:
    turn = np.where(surface.is_convex, CONVEX_SHARE, 1.0) * surface.turns
    weights = (surface.lengths * np.exp(-turn / SOFT_TURN_RAD) + 1e-12).astype(np.float32)
    links = surface.graph(weights)[band]
    count = int(parts.max()) + 1
    rows = np.flatnonzero(band)
    total = np.maximum(np.asarray(links.sum(axis=1)), 1e-300)
    held = np.zeros((len(parts), count), dtype=np.float32)
    held[np.arange(len(parts)), parts] = 1
    for _ in range(SMOOTHING_ROUNDS):
        held[rows] = 0.2 * held[rows] + 0.8 * (links @ held) / total
    moved = parts.copy()
    moved[rows] = held[rows].argmax(axis=1)
    return moved


def _not_eaten(
    surface: Surface, parts: NDArray[np.int64], moved: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Undo what would take most of a small part away."""
    before = np.bincount(parts, surface.areas)
    after = np.bincount(moved, surface.areas, len(before))
    eaten = after < LEAST_LEFT * before
    return np.where(eaten[parts], parts, moved)


def _rejoined(
    surface: Surface,
    patches: NDArray[np.int64],
    parts: NDArray[np.int64],
    changed: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Give faces that changed their part the nearest patch of the new one."""
    i, j = surface.pairs.T
    same = parts[i] == parts[j]
    away = np.linalg.norm(surface.centres[i] - surface.centres[j], axis=1) + 1e-9
    inside = _links(surface, away, same)
    starts = np.flatnonzero(~changed)
    reach, _, source = dijkstra(inside, indices=starts, min_only=True, return_predecessors=True)
    joined = patches.copy()
    found = changed & np.isfinite(reach)
    joined[found] = patches[source[found]]
    return joined


def _links(surface: Surface, weights: NDArray[np.float64], chosen: NDArray[np.bool_]) -> csr_matrix:
    i, j = surface.pairs[chosen].T
    both = np.concatenate([weights[chosen], weights[chosen]])
    places = (np.concatenate([i, j]), np.concatenate([j, i]))
    return csr_matrix((both, places), shape=(len(surface.faces),) * 2)
