"""The published way from masks of prompts to labels of points: pair by pair on the host."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAME_MASK, SAME_BOX, MOSTLY_NEW = 0.9, 0.5, 0.7
FEWEST_MEMBERS = 3

Masks = NDArray[np.bool_]
Labels = NDArray[np.int64]


def point_labels(masks: Masks, iou: NDArray[np.float32], points: NDArray[np.float64]) -> Labels:
    """Choose among masks and paint them on points.

    Parameters
    ----------
    masks : (points, prompts) bool
    iou : (prompts,) float32
        As the network guesses it.
    points : (points, 3) float64

    Returns
    -------
    (points,) int64
        -1 where no mask is.
    """
    ordered = masks[:, np.argsort(-iou, kind="stable")]
    kept = _agreed_on(ordered)
    kept = _without_same_boxes(ordered, kept, points)
    return _painted(ordered, _patched(ordered, kept))


def _agreed_on(masks: Masks) -> list[int]:
    """Return heads of the clusters that are large enough, comparing pair by pair."""
    clusters: dict[int, list[int]] = {}
    for number in range(masks.shape[1]):
        mask = masks[:, number]
        head = next((one for one in clusters if _overlap(masks[:, one], mask) > SAME_MASK), None)
        if head is None:
            clusters[number] = [number]
        else:
            clusters[head].append(number)
    return [head for head, members in clusters.items() if len(members) >= FEWEST_MEMBERS]


def _overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    either = np.logical_or(one, other).sum()
    return float(np.logical_and(one, other).sum() / either) if either else 0.0


def _without_same_boxes(masks: Masks, heads: list[int], points: NDArray[np.float64]) -> list[int]:
    boxes = {head: _box(points[masks[:, head]]) for head in heads}
    absorbed: set[int] = set()
    kept = []
    for place, head in enumerate(heads):
        if head in absorbed:
            continue
        kept.append(head)
        for later in heads[place + 1 :]:
            if later not in absorbed and _box_overlap(boxes[head], boxes[later]) > SAME_BOX:
                absorbed.add(later)
    return kept


def _box(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([points.min(axis=0), points.max(axis=0)])


def _box_overlap(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    common = np.minimum(one[1], other[1]) - np.maximum(one[0], other[0])
    shared = np.prod(np.maximum(common, 0.0))
    whole = np.prod(one[1] - one[0]) + np.prod(other[1] - other[0]) - shared
    return float(shared / whole) if whole > 0 else 0.0


def _patched(masks: Masks, kept: list[int]) -> list[int]:
    """Add masks that mostly cover what nothing covers yet."""
    found = list(kept)
    uncovered = ~masks[:, kept].any(axis=1)
    for number in range(masks.shape[1]):
        size = masks[:, number].sum()
        if number in kept or not size:
            continue
        if (masks[:, number] & uncovered).sum() / size > MOSTLY_NEW:
            found.append(number)
            uncovered &= ~masks[:, number]
    return found


def _painted(masks: Masks, kept: list[int]) -> Labels:
    """Paint from the largest to the smallest; a label is the place of its mask in the order."""
    labels = np.full(len(masks), -1, np.int64)
    for number in sorted(kept, key=lambda one: -int(masks[:, one].sum())):
        labels[masks[:, number]] = number
    return labels
