"""The regions of a labelled surface, and which of them touch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.meshes.mask_parts.clean_surface import CleanSurface


@dataclass(frozen=True)
class RegionMap:
    """Faces of one label that hang together, as one thing.

    Parameters
    ----------
    of_faces : (m,) int64
        The region of each face.
    labels : (r,) int64
        Of each region.
    shares : (r,) float64
        Of the area of the surface.
    starts : (r + 1,) int64
        Where the neighbours of each region begin.
    neighbours : (e,) int64
        Regions that touch, region after region.
    """

    of_faces: NDArray[np.int64]
    labels: NDArray[np.int64]
    shares: NDArray[np.float64]
    starts: NDArray[np.int64]
    neighbours: NDArray[np.int64]

    @classmethod
    def of(cls, surface: CleanSurface, labels: NDArray[np.int64]) -> RegionMap:
        """Find the regions of a surface with a label per face."""
        found = surface.regions(labels)
        count = int(found.max()) + 1
        own = np.zeros(count, dtype=np.int64)
        own[found] = labels
        areas = np.bincount(found, surface.areas, count)
        total = float(areas.sum())
        shares = areas / total if total > 0 else np.bincount(found, minlength=count) / len(found)
        i, j = found[surface.pairs].T
        borders = np.unique(np.concatenate([i * count + j, j * count + i])[np.tile(i != j, 2)])
        starts = np.searchsorted(borders, np.arange(count + 1) * count)
        return cls(found, own, shares, starts, borders % count)

    def __len__(self) -> int:
        return len(self.labels)

    def around(self, region: int) -> NDArray[np.int64]:
        """Regions that touch one."""
        return self.neighbours[self.starts[region] : self.starts[region + 1]]

    def with_labels(self, labels: NDArray[np.int64]) -> RegionMap:
        """Give regions other labels; those that touch with the same one stay apart."""
        return replace(self, labels=labels)
