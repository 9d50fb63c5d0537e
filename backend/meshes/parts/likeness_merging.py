"""Merges patches whose descriptions are alike: coarser and finer divisions into parts."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from backend.catalog import MAX_PARTS
from backend.meshes.parts.part_tree import PartTree

TINY = 1e-30


def likeness_tree(
    face_patches: NDArray[np.int32],
    patch_parts: NDArray[np.integer],
    face_pairs: NDArray[np.integer],
    descriptions: NDArray[np.floating],
) -> PartTree:
    """Build the tree over parts that a network found: they come out where it suggests.

    First the patches of each part merge, those that touch before the others, the most alike
    first. Then touching parts do, until none touch any more. Two nodes cost one minus the cosine
    between their descriptions; a merged one is described by the sum of what it was made of. No
    merge costs less than the one before it, and none within a part more than one between parts.
    A patch without a description is like every other.

    Parameters
    ----------
    face_patches : (m,) int32
        Patch of each face, from 0 without gaps.
    patch_parts : (k,) int
        Part of each patch.
    face_pairs : (e, 2) int
        Faces that touch.
    descriptions : (k, c) float
        One per patch, as long as the patch is large: sums over its area.
    """
    merging = _Merging(descriptions)
    touching = touching_patches(face_patches, face_pairs)
    is_inside = patch_parts[touching[:, 0]] == patch_parts[touching[:, 1]]
    merging.merge(touching[is_inside])
    merging.merge(_pairs_within(merging.roots(), patch_parts))
    inner = len(merging.costs)
    merging.merge(touching[~is_inside])
    costs = np.array(merging.costs, dtype=np.float32)
    if inner < len(costs):
        costs[:inner] = np.minimum(costs[:inner], costs[inner])
    count = len(descriptions)
    suggested = max(min(count - inner, MAX_PARTS), count - len(costs))
    merges = np.array(merging.merges, dtype=np.int32).reshape(-1, 2)
    return PartTree(face_patches.astype(np.int32), count, merges, costs, suggested)


def touching_patches(
    face_patches: NDArray[np.int32], face_pairs: NDArray[np.integer]
) -> NDArray[np.int64]:
    """Find the patches that touch, (t, 2) int64, each pair once with the lower number first."""
    sides = np.sort(face_patches[face_pairs].astype(np.int64), axis=1)
    return np.unique(sides[sides[:, 0] != sides[:, 1]], axis=0).reshape(-1, 2)


def summed_descriptions(
    patches: NDArray[np.integer],
    rows: NDArray[np.integer],
    features: NDArray[np.float32],
    count: int,
) -> NDArray[np.float64]:
    """Add up the features of the points of each patch, (count, c) float64.

    Parameters
    ----------
    patches, rows : (n,) int
        For each point, its patch and its row of the features.
    features : (m, c) float32
    """
    ones = np.ones(len(patches), dtype=np.float32)
    points = csr_matrix((ones, (patches, rows)), (count, len(features)))
    return np.asarray(points @ features, dtype=np.float64)


def _pairs_within(roots: NDArray[np.int64], patch_parts: NDArray[np.integer]) -> NDArray[np.int64]:
    """Pair what is left of each part, each with each: (l, 2) int64."""
    left = np.unique(roots)
    left = left[np.argsort(patch_parts[left], kind="stable")]
    groups = np.split(left, np.flatnonzero(np.diff(patch_parts[left])) + 1)
    pairs = [np.stack(np.triu_indices(len(group), 1), axis=1) for group in groups]
    return np.concatenate([group[pair] for group, pair in zip(groups, pairs, strict=True)])


class _Merging:
    """The state of a run; a merged patch lives on under the lower number."""

    def __init__(self, descriptions: NDArray[np.floating]) -> None:
        count = len(descriptions)
        self.merges: list[tuple[int, int]] = []
        self.costs: list[float] = []
        wide = descriptions.astype(np.float64)
        self._products = wide @ wide.T
        self._around: list[set[int]] = [set() for _ in range(count)]
        self._root = np.arange(count)
        self._version = [0] * count
        self._node = list(range(count))
        self._heap: list[tuple[float, int, int, int, int]] = []

    def roots(self) -> NDArray[np.int64]:
        """Return under which number each patch lives on, (k,) int64."""
        return self._root

    def merge(self, pairs: NDArray[np.int64]) -> None:
        """Merge what these pairs link, the most alike first, until nothing is linked."""
        roots = self._root[pairs]
        roots = roots[roots[:, 0] != roots[:, 1]]
        for x, y in roots.tolist():
            self._around[x].add(y)
            self._around[y].add(x)
        for x in np.unique(roots).tolist():
            self._offer(x)
        while self._heap:
            cost, x, y, version_x, version_y = heapq.heappop(self._heap)
            if self._version[x] != version_x:
                continue
            if self._version[y] == version_y:
                self._do(min(x, y), max(x, y), cost)
            else:
                self._offer(x)

    def _do(self, x: int, y: int, cost: float) -> None:
        self.merges.append((self._node[x], self._node[y]))
        self.costs.append(max(cost, self.costs[-1] if self.costs else 0.0))
        self._node[x] = len(self._node) + len(self.merges) - 1
        self._join(x, y)

    def _offer(self, x: int) -> None:
        """Offer a patch with the one around it that is most like it.

        That is enough: of the two that are most alike of all, the one that changed last was
        offered with the other, or with one that is as much like it.
        """
        if not self._around[x]:
            return
        others = sorted(self._around[x])
        unlike = self._unlike(x, others)
        best = int(unlike.argmin())
        y = others[best]
        entry = (float(unlike[best]), x, y, self._version[x], self._version[y])
        heapq.heappush(self._heap, entry)

    def _unlike(self, x: int, others: list[int]) -> NDArray[np.float64]:
        """One minus each cosine, from 0 to 2; 0 where one of two is not described."""
        squared = self._products.diagonal()
        lengths = np.sqrt(squared[x] * squared[others])
        unlike = 1 - self._products[x, others] / np.maximum(lengths, TINY)
        return np.asarray(np.where(lengths < TINY, 0, np.maximum(unlike, 0)))

    def _join(self, x: int, y: int) -> None:
        around = (self._around[x] | self._around[y]) - {x, y}
        for z in self._around[y]:
            self._around[z].discard(y)
        self._around[x], self._around[y] = around, set()
        self._products[x] += self._products[y]
        self._products[:, x] += self._products[:, y]
        self._root[self._root == y] = x
        self._version[x] += 1
        self._version[y] = -1
        for z in around:
            self._around[z].add(x)
        self._offer(x)
