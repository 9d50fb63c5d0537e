"""Small regions beyond a share of the area join their neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.meshes.mask_parts.region_map import RegionMap

SMALL_SHARE = 0.01


def with_tail_merged(regions: RegionMap, threshold: float) -> NDArray[np.int64]:
    """Merge small regions into large ones, and return the label of each, (r,) int64.

    Regions are sorted by area. Those up to a share of all area are large; of the others, those
    below a hundredth join the largest of the large ones that they touch, or that something they
    touch has joined.

    Parameters
    ----------
    regions : RegionMap
        All with labels.
    threshold : float
        Share of the area, from 0 to 1, that large regions have together. At 1 all are large,
        even if their shares add up to more by rounding.
    """
    order = np.argsort(-regions.shares, kind="stable")
    running = np.cumsum(regions.shares[order])
    ranks = np.zeros(len(order), dtype=np.int64)
    ranks[order] = np.arange(len(order))
    large = len(order) if threshold >= 1 else int(np.searchsorted(running, threshold, "right"))
    owners = ranks.tolist()  # of a large region, or what joined one: its rank is below `large`
    joins = (np.arange(len(order)) >= large) & (regions.shares[order] < SMALL_SHARE)
    joins &= np.diff(regions.starts)[order] > 0
    for region in order[joins].tolist():
        owner = min(owners[other] for other in regions.around(region).tolist())
        if owner < large:
            owners[region] = owner
    return regions.labels[order[owners]]
