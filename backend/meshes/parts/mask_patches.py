"""Patches finer than parts: where masks that a network predicted draw further lines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

SMALLEST_SHARE = 0.001
"""Of the area; there are no more than 1000 patches of this size, and a smaller one per part."""
ROUNDS = 16


def mask_patches(
    face_parts: NDArray[np.int32],
    face_signatures: NDArray[np.int64],
    face_pairs: NDArray[np.integer],
    areas: NDArray[np.float64],
) -> NDArray[np.int32]:
    """Divide parts where masks end, into pieces that hang together.

    Pieces below 0.1 % of the area join the one of their part with which they share most edges;
    where they touch none, the largest of their part.

    Parameters
    ----------
    face_parts : (m,) int32
        Part of each face, from 0 without gaps.
    face_signatures : (m,) int64
        Equal for faces that lie in the same masks.
    face_pairs : (e, 2) int
        Faces that touch.
    areas : (m,) float64

    Returns
    -------
    (m,) int32
        Patch of each face, from 0 without gaps; those of a part follow on each other, parts in
        their order.
    """
    alike = (face_parts[face_pairs[:, 0]] == face_parts[face_pairs[:, 1]]) & (
        face_signatures[face_pairs[:, 0]] == face_signatures[face_pairs[:, 1]]
    )
    pieces = _joined(face_pairs[alike], len(face_parts))
    inside = face_pairs[face_parts[face_pairs[:, 0]] == face_parts[face_pairs[:, 1]]]
    for _ in range(ROUNDS):
        links = _links_of_small(pieces, inside, areas)
        if not len(links):
            break
        pieces = _joined(links, int(pieces.max()) + 1)[pieces]
    pieces = _with_the_largest(pieces, face_parts, areas)
    return _by_part(pieces, face_parts)


def nearest_samples(
    centres: NDArray[np.float64],
    face_parts: NDArray[np.int32],
    samples: NDArray[np.float64],
    sample_faces: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Find the sample nearest to the middle of each face, one on the same part if there is any.

    Parameters
    ----------
    centres : (m, 3) float64
    samples : (n, 3) float64
        In the same coordinates.
    sample_faces : (n,) int64

    Returns
    -------
    (m,) int64
        Numbers of samples.
    """
    both = np.concatenate([centres, samples])
    apart = 2 * float(np.linalg.norm(np.ptp(both, axis=0))) + 1  # farther than any two points
    tree = cKDTree(np.column_stack([samples, apart * face_parts[sample_faces]]))
    found = tree.query(np.column_stack([centres, apart * face_parts]))[1]
    return np.asarray(found, dtype=np.int64)


def signatures(masks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number the sets of masks that points lie in.

    Parameters
    ----------
    masks : (k, n) bool

    Returns
    -------
    (n,) int64
        From 0; equal for points in the same masks.
    """
    if not len(masks):
        return np.zeros(masks.shape[1], dtype=np.int64)
    rows = np.ascontiguousarray(np.packbits(masks, axis=0).T)
    keys = rows.view(np.dtype((np.void, rows.shape[1]))).reshape(-1)
    numbers = np.unique(keys, return_inverse=True)[1]
    return np.asarray(numbers.reshape(-1), dtype=np.int64)


def _joined(links: NDArray[np.integer], count: int) -> NDArray[np.int64]:
    """Number what hangs together by links."""
    ones = np.ones(len(links), dtype=np.int8)
    graph = coo_matrix((ones, (links[:, 0], links[:, 1])), (count, count))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _links_of_small(
    pieces: NDArray[np.int64], inside: NDArray[np.integer], areas: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Link each small piece with the one of its part that it shares most edges with, (l, 2)."""
    count = int(pieces.max()) + 1
    small = np.bincount(pieces, areas, count) < SMALLEST_SHARE * areas.sum()
    sides = pieces[inside]
    sides = sides[sides[:, 0] != sides[:, 1]]
    sides = np.concatenate([sides, sides[:, ::-1]])
    sides = sides[small[sides[:, 0]]]
    keys, edges = np.unique(sides @ np.array([count, 1]), return_counts=True)
    small_piece, other = np.divmod(keys, count)
    order = np.lexsort((other, -edges, small_piece))
    first = order[np.diff(small_piece[order], prepend=-1) != 0]
    return np.stack([small_piece[first], other[first]], axis=1)


def _with_the_largest(
    pieces: NDArray[np.int64], face_parts: NDArray[np.int32], areas: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Join pieces that are small still with the largest of their part."""
    count = int(pieces.max()) + 1
    sizes = np.bincount(pieces, areas, count)
    part_of = np.zeros(count, dtype=np.int64)
    part_of[pieces] = face_parts
    order = np.lexsort((-sizes, part_of))
    largest = order[np.diff(part_of[order], prepend=-1) != 0]
    small = sizes < SMALLEST_SHARE * areas.sum()
    target = np.where(small, largest[part_of], np.arange(count))
    return np.asarray(target[pieces])


def _by_part(pieces: NDArray[np.int64], face_parts: NDArray[np.int32]) -> NDArray[np.int32]:
    keys = face_parts.astype(np.int64) * (int(pieces.max()) + 1) + pieces
    numbers = np.unique(keys, return_inverse=True)[1]
    return np.asarray(numbers.reshape(-1), dtype=np.int32)
