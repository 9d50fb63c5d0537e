"""Regions without a label: large ones become parts, small ones join others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from backend.meshes.mask_parts.clean_surface import CleanSurface
from backend.meshes.mask_parts.label_boxes import label_boxes
from backend.meshes.mask_parts.region_map import RegionMap

SMALL_SHARE = 0.001
FIRST_LOOKED_AT = 8
LOOKED_AT_GROWTH = 8
MOST_PAIRS = 1_000_000
"""Of boxes that are compared at once."""
ROUNDING = 1 + 1e-9
REGIONS_PER_CHECK = 1024

Check = Callable[[], None]

Boxes = NDArray[np.float64]


def all_labelled(
    surface: CleanSurface, regions: RegionMap, check_canceled: Check = lambda: None
) -> RegionMap:
    """Give every region a label.

    Regions of more than a thousandth of the area get new ones. Of the others, each takes that of
    the neighbour whose part's box would grow least, as a share of its coordinates, and of equals
    the smallest. Without a neighbour it takes that of the region whose box reaches least far from
    it. If no region is large or has a label, all get 0.

    Parameters
    ----------
    check_canceled : callable
        Called every now and then; what it raises is raised.
    """
    check_canceled()
    labels = regions.labels.copy()
    large = np.flatnonzero((labels < 0) & (regions.shares > SMALL_SHARE))
    labels[large] = max(int(labels.max()), -1) + 1 + np.arange(len(large))
    left = np.flatnonzero(labels < 0)
    if len(left) == len(labels):
        return regions.with_labels(np.zeros_like(labels))
    if len(left):
        boxes = label_boxes(surface.corners, regions.of_faces, len(regions))
        labels[left] = _labels_to_join(regions.with_labels(labels), left, boxes, check_canceled)
    return regions.with_labels(labels)


def _labels_to_join(
    regions: RegionMap, left: NDArray[np.int64], boxes: Boxes, check_canceled: Check
) -> NDArray[np.int64]:
    found = np.full(len(left), -1)
    parts = _part_boxes(regions.labels, boxes)
    touching = np.flatnonzero(np.diff(regions.starts)[left])
    for done, place in enumerate(touching.tolist()):
        if done % REGIONS_PER_CHECK == 0:
            check_canceled()
        around = regions.labels[regions.around(int(left[place]))]
        around = np.unique(around[around >= 0])
        if len(around):
            found[place] = _least_growth(around, parts, boxes[left[place]])
    lonely = np.flatnonzero(found < 0)
    if len(lonely):
        others = np.flatnonzero(regions.labels >= 0)
        nearest = _least_reach(boxes[left[lonely]], boxes[others], check_canceled)
        found[lonely] = regions.labels[others[nearest]]
    return found


def _part_boxes(labels: NDArray[np.int64], boxes: Boxes) -> Boxes:
    """Join the boxes of all regions of each label; labels that nobody has get none."""
    parts = np.full((int(labels.max()) + 1, 2, 3), np.inf)
    parts[:, 1] = -np.inf
    has_one = labels >= 0
    np.minimum.at(parts[:, 0], labels[has_one], boxes[has_one, 0])
    np.maximum.at(parts[:, 1], labels[has_one], boxes[has_one, 1])
    return parts


def _least_growth(labels: NDArray[np.int64], parts: Boxes, box: Boxes) -> int:
    before = parts[labels]
    after = before.copy()
    after[:, 0] = np.minimum(before[:, 0], box[0])
    after[:, 1] = np.maximum(before[:, 1], box[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        growth = np.abs(after - before) / np.abs(before)
    growth[after == before] = 0
    return int(labels[growth.max(axis=(1, 2)).argmin()])


def _least_reach(boxes: Boxes, others: Boxes, check_canceled: Check) -> NDArray[np.int64]:
    """Find for each box the other one whose far side is nearest, (k,) int64.

    That is the length of (distance of centres + both half sides), axis by axis. So none whose
    centre is farther away than one that was looked at reaches can win: look at more and more
    of them in the order of their centres until that is so. Of equals the smaller one wins, then
    the first.
    """
    centres, tree = boxes.mean(axis=1), KDTree(others.mean(axis=1))
    volumes = np.diff(others, axis=1)[:, 0].prod(axis=1)
    found = np.zeros(len(boxes), dtype=np.int64)
    queue = [(np.arange(len(boxes)), FIRST_LOOKED_AT)]
    while queue:
        rows, wanted = queue.pop()
        wanted = min(wanted, len(others))
        for some in np.array_split(rows, 1 + len(rows) * wanted // MOST_PAIRS):
            check_canceled()
            away, near = map(np.asarray, tree.query(centres[some], k=range(1, wanted + 1)))
            reaches = _reaches(boxes[some][:, None], others[near])
            best = np.lexsort((near, volumes[near], reaches), axis=1)[:, 0]
            lines = np.arange(len(some))
            found[some] = near[lines, best]
            unsure = away[:, -1] <= reaches[lines, best] * ROUNDING
            if wanted < len(others) and unsure.any():
                queue.append((some[unsure], LOOKED_AT_GROWTH * wanted))
    return found


def _reaches(box: Boxes, others: Boxes) -> NDArray[np.float64]:
    one_way = others[..., 1, :] - box[..., 0, :]
    other_way = box[..., 1, :] - others[..., 0, :]
    sides = np.maximum(np.maximum(one_way, other_way), 0)
    return np.asarray(np.sqrt((sides**2).sum(axis=-1)))
