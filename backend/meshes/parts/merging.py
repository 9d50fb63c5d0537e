"""Merges patches, cheapest first, until nothing touches any more."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from backend.meshes.parts.creases import Creases, find_creases
from backend.meshes.parts.hollows import Hollows
from backend.meshes.parts.surface import Surface

BINS = 12
BIN_BLUR = 0.8
CONVEX_SHARE = 0.1
THICKNESS_WEIGHT = 1.7
SIGHT_WEIGHT = 2.2
COLOR_WEIGHT = 0.8
"""Less than what a part costs: colour alone makes no parts, it decides between creases."""
SIZE_POWER = 0.1
SMALLEST_SHARE = 0.006


@dataclass(frozen=True)
class PatchFacts:
    """What merging knows of patches.

    Parameters
    ----------
    areas : (k,) float64
        Shares of the whole area.
    thickness : (k, BINS) float64
        Area by thickness.
    sight : (k, k) float64
        Share of point pairs that see each other.
    walls : (k,) float64
        Whether a patch is a wall of a hollow, from 0 to 1.
    borders : dict of (int, int) to (float, float)
        For patches that touch, lower number first: length of the border, and its concave turn
        and contrast of colours summed over the length.
    images : (k,) int64
        The patch that each patch is mirrored to, -1 for none.
    """

    areas: NDArray[np.float64]
    thickness: NDArray[np.float64]
    sight: NDArray[np.float64]
    walls: NDArray[np.float64]
    borders: dict[tuple[int, int], tuple[float, float]]
    images: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        surface: Surface,
        patches: NDArray[np.int64],
        thickness: NDArray[np.float64],
        sight: NDArray[np.float64],
        hollows: Hollows,
        colors: NDArray[np.float64] | None = None,
        images: NDArray[np.int64] | None = None,
    ) -> PatchFacts:
        """Measure patches; without ``images`` nothing is mirrored."""
        total = max(float(surface.areas.sum()), 1e-300)
        shares = surface.areas / total
        count = int(patches.max()) + 1
        bins = np.clip((thickness * BINS).astype(np.int64), 0, BINS - 1)
        histogram = np.bincount(patches * BINS + bins, shares, count * BINS).astype(np.float64)
        blurred = gaussian_filter1d(
            histogram.reshape(count, BINS), BIN_BLUR, axis=1, mode="nearest"
        )
        areas = np.bincount(patches, shares, count).astype(np.float64)
        borders = _borders(surface, patches, find_creases(surface, patches, colors), hollows.inner)
        if images is None:
            images = np.full(count, -1)
        return cls(areas, blurred, sight, hollows.walls, borders, images).made_alike()

    def made_alike(self) -> PatchFacts:
        """Give patches that mirror each other the mean of what is known of them."""
        known = self.images >= 0
        if not known.any():
            return self
        other = np.where(known, self.images, np.arange(len(known)))
        both = np.outer(known, known)
        sight = np.where(both, (self.sight + self.sight[np.ix_(other, other)]) / 2, self.sight)
        thickness = self.thickness / np.maximum(self.thickness.sum(axis=1), 1e-300)[:, None]
        thickness = (thickness + thickness[other]) / 2 * self.areas[:, None]
        walls = (self.walls + self.walls[other]) / 2
        return replace(self, sight=sight, thickness=thickness, walls=walls)


@dataclass(frozen=True)
class Merges:
    """The merge list: nodes as ``PartTree`` numbers them, and what each merge cost."""

    nodes: NDArray[np.int32]
    costs: NDArray[np.float32]

    def parts_below(self, limit: float, patch_count: int) -> int:
        """Count the parts that are left when merging stops before the first cost above a limit."""
        above = np.flatnonzero(self.costs > limit)
        return patch_count - (int(above[0]) if len(above) else len(self.costs))


def merge_patches(facts: PatchFacts) -> Merges:
    """Merge touching patches, cheapest first.

    The cost of a merge is the mean concave turn and contrast along the border, plus how far the
    distributions of thickness lie apart, plus the share of point pairs that do not see each
    other, all times the smaller area to the power of 0.1: small patches join early, those under
    0.6 % first. The mirrored merge follows each at once, for the same price.
    """
    return _Merging(facts).run()


class _Merging:
    """The state of a run; a merged patch lives on under the number of the first."""

    def __init__(self, facts: PatchFacts) -> None:
        count = len(facts.areas)
        self._areas = facts.areas.copy()
        self._thickness = facts.thickness.copy()
        self._sight = facts.sight.copy()
        self._walls = facts.walls.copy()
        self._around: list[dict[int, tuple[float, float]]] = [{} for _ in range(count)]
        for (x, y), border in facts.borders.items():
            self._around[x][y] = self._around[y][x] = border
        self._images = facts.images.tolist()
        self._version = [0] * count
        self._node = list(range(count))
        self._heap: list[tuple[float, int, int, int, int]] = []
        self._nodes: list[tuple[int, int]] = []
        self._costs: list[float] = []

    def run(self) -> Merges:
        """Merge until no patches touch."""
        for x, around in enumerate(self._around):
            for y in around:
                if x < y:
                    self._offer(x, y)
        while self._heap:
            cost, x, y, version_x, version_y = heapq.heappop(self._heap)
            if self._version[x] != version_x or self._version[y] != version_y:
                continue
            images = self._images[x], self._images[y]
            self._merge(x, y, cost)
            self._mirror(x, y, images, cost)
        return Merges(
            np.array(self._nodes, dtype=np.int32).reshape(-1, 2),
            np.array(self._costs, dtype=np.float32),
        )

    def _merge(self, x: int, y: int, cost: float) -> None:
        self._nodes.append((self._node[x], self._node[y]))
        self._costs.append(cost)
        self._join(x, y)
        self._node[x] = len(self._node) + len(self._costs) - 1

    def _mirror(self, x: int, y: int, images: tuple[int, int], cost: float) -> None:
        """Do for the images of two patches what was done for them; ``y`` lives on in ``x``."""
        others = [image for image in dict.fromkeys(images) if image not in {x, y, -1}]
        is_own = x in images or y in images
        group = [x, *others] if is_own else others
        for other in group[1:]:
            if other in self._around[group[0]]:
                self._merge(group[0], other, cost)
            else:
                self._images[other] = -1
        if group:
            self._images[x], self._images[group[0]] = group[0], x
        else:
            self._images[x] = -1

    def _offer(self, x: int, y: int) -> None:
        x, y = min(x, y), max(x, y)
        entry = (self._cost(x, y), x, y, self._version[x], self._version[y])
        heapq.heappush(self._heap, entry)

    def _cost(self, x: int, y: int) -> float:
        length, turned = self._around[x][y]
        concavity = turned / max(length, 1e-12)
        hollow = float(self._walls[x] * self._walls[y])
        unlike = (1 - hollow) * _distance(self._thickness[x], self._thickness[y])
        hidden = 1 - float(self._sight[x, y])
        smaller = float(min(self._areas[x], self._areas[y]))
        small = min(1.0, smaller / SMALLEST_SHARE)
        price = concavity + THICKNESS_WEIGHT * unlike + SIGHT_WEIGHT * hidden
        return float(price * small * smaller**SIZE_POWER)

    def _join(self, x: int, y: int) -> None:
        for z, border in self._around[y].items():
            del self._around[z][y]
            if z == x:
                continue
            old = self._around[x].get(z, (0.0, 0.0))
            joined = (old[0] + border[0], old[1] + border[1])
            self._around[x][z] = self._around[z][x] = joined
        self._around[y] = {}
        share = self._areas[[x, y]] / max(float(self._areas[[x, y]].sum()), 1e-300)
        row = share[0] * self._sight[x] + share[1] * self._sight[y]
        self._sight[x] = row
        self._sight[:, x] = row
        self._walls[x] = share @ self._walls[[x, y]]
        self._areas[x] += self._areas[y]
        self._thickness[x] += self._thickness[y]
        self._version[x] += 1
        self._version[y] = -1
        for z in self._around[x]:
            self._offer(x, z)


def _distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Earth mover's distance of two histograms, from 0 to 1."""
    a, b = first / max(float(first.sum()), 1e-300), second / max(float(second.sum()), 1e-300)
    return float(np.abs(np.cumsum(a - b)).sum()) / BINS


def _borders(
    surface: Surface,
    patches: NDArray[np.int64],
    creases: Creases,
    inner: NDArray[np.float64],
) -> dict[tuple[int, int], tuple[float, float]]:
    sides = np.sort(patches[surface.pairs], axis=1)
    across = np.flatnonzero(sides[:, 0] != sides[:, 1])
    if not len(across):
        return {}
    sides = sides[across]
    count = int(patches.max()) + 1
    unique, inverse = np.unique(sides @ np.array([count, 1]), return_inverse=True)
    turns = creases.turns[across]
    concave = 1 - inner[sides[:, 0]] * inner[sides[:, 1]]  # the corners of a hollow join
    prices = np.where(turns > 0, concave * turns, -CONVEX_SHARE * turns)
    prices += COLOR_WEIGHT * creases.contrasts[across]
    lengths = surface.lengths[across]
    length = np.bincount(inverse.reshape(-1), lengths)
    turned = np.bincount(inverse.reshape(-1), lengths * prices)
    return {
        (int(key) // count, int(key) % count): (float(total), float(summed))
        for key, total, summed in zip(unique, length, turned, strict=True)
    }
