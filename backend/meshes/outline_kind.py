"""Whether an outline looks round, turned on a lathe, or flat."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

from backend.catalog import ShapeMode
from backend.meshes.masks import Mask, iou

SLAB_FILL = 0.93
LATHE_MIRROR_IOU = 0.94
LATHE_SINGLE_RUNS = 0.95
FLANGE_SHARE, FLANGE_HEIGHT = 0.08, 0.35


def outline_kind(mask: Mask) -> ShapeMode:
    """Choose how to guess the depth: slab, lathe or inflate."""
    fill, _ = rectangle_fill(mask)
    if fill > SLAB_FILL:
        return ShapeMode.SLAB
    mirror, single = lathe_evidence(mask)
    looks_turned = mirror > LATHE_MIRROR_IOU and single > LATHE_SINGLE_RUNS
    if looks_turned and flange_share(mask) < FLANGE_SHARE:
        return ShapeMode.LATHE
    return ShapeMode.INFLATE


def rectangle_fill(mask: Mask) -> tuple[float, float]:
    """Share of the smallest turned rectangle that the outline fills, and its aspect (0 to 1]."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest = max(contours, key=cv2.contourArea)
    _, (width, height), _ = cv2.minAreaRect(largest)
    if min(width, height) < 1:
        return 0.0, 0.0
    return cv2.contourArea(largest) / (width * height), min(width, height) / max(width, height)


def flange_share(mask: Mask) -> float:
    """Share of the outline in flat protrusions (arms, puddles) that turning makes into plates."""
    radius = np.asarray(mask[mask.any(axis=1)].sum(axis=1) / 2, dtype=np.float64)
    window = max(3, round(FLANGE_HEIGHT * float(radius.max())))
    return float((radius - ndimage.grey_opening(radius, (window,))).sum() / radius.sum())


def lathe_evidence(mask: Mask) -> tuple[float, float]:
    """Overlap with the mirror image about the median column, and share of rows with one run."""
    rows = mask[mask.any(axis=1)]
    edges = np.diff(np.pad(rows.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    single = float((np.count_nonzero(edges == 1, axis=1) == 1).mean())
    first = rows.argmax(axis=1)
    last = rows.shape[1] - 1 - rows[:, ::-1].argmax(axis=1)
    centre = np.median((first + last) / 2)
    source = np.round(2 * centre - np.arange(rows.shape[1])).astype(int)
    inside = (source >= 0) & (source < rows.shape[1])
    mirrored = np.zeros_like(rows)
    mirrored[:, inside] = rows[:, source[inside]]
    return iou(rows, mirrored), single
