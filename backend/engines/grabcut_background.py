"""Engine ``grabcut``: a colour model of the border, and GrabCut where that is not enough."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from backend.engines.background_task import BackgroundTask, CutOut, PictureByPicture
from backend.errors import NoForeground
from backend.meshes.background import (
    Lab,
    fit_border,
    fit_corners,
    grabcut_mask,
    plain_mask,
    to_lab,
)
from backend.meshes.masks import Mask
from backend.meshes.picture_border import frame_margins
from backend.progress import StageProgress

PLAIN_SHARE = 0.9
GRABCUT_CONFIDENCE = 0.59  # a person should look whenever it was needed
EDGE_STEP = 8.0
CUT_CONFIDENCE = 0.65
LEAST_SPREAD = 0.6
LEAST_COVER, MOST_COVER = 0.02, 0.99


class GrabcutBackground(PictureByPicture):
    """Finds the object by colour; sure of itself only on plain backgrounds."""

    name = "grabcut"
    title = "Border colours and GrabCut (built in)"

    def cut(self, task: BackgroundTask, progress: StageProgress) -> CutOut:
        """Look for the object inside any frame around the picture; raises NoForeground."""
        lab = to_lab(task.picture.rgb)
        if float(lab.std(axis=(0, 1)).max()) < LEAST_SPREAD:
            raise NoForeground("The picture is of a single colour.")
        rows, columns = frame_margins(lab).inside(lab.shape)
        progress.check_canceled()
        found = _find(task.picture.rgb[rows, columns], lab[rows, columns])
        mask = np.zeros(lab.shape[:2], dtype=np.bool_)
        mask[rows, columns] = found.mask
        return CutOut(mask, found.method, found.confidence)


def _find(rgb: NDArray[np.uint8], lab: Lab) -> CutOut:
    """Trust the border where it is plain, then the corners, then GrabCut."""
    border = fit_border(lab)
    if border.plain_share > PLAIN_SHARE:
        mask = plain_mask(lab, border)
        confidence = border.plain_share * (1 - _touch(mask, border.ring))
        return CutOut(mask, "plain", round(confidence, 3))
    corners = fit_corners(lab)
    if corners:
        mask = plain_mask(lab, corners)
        if LEAST_COVER < mask.mean() < MOST_COVER:
            return CutOut(mask, "plain", CUT_CONFIDENCE)
    mask = grabcut_mask(rgb, lab, border.ring)
    confidence = GRABCUT_CONFIDENCE * _edge_support(mask, lab)
    return CutOut(mask, "grabcut", round(confidence, 3))


def _touch(mask: Mask, ring: Mask) -> float:
    """Share of the border that the object covers."""
    return float(np.asarray(mask[ring]).mean())


def _edge_support(mask: Mask, lab: Lab) -> float:
    """Share of the outline along which the colour changes."""
    outline = mask ^ ndimage.binary_erosion(mask)
    if not outline.any():
        return 0.0
    low, high = (
        rank(lab, size=(7, 7, 1)) for rank in (ndimage.minimum_filter, ndimage.maximum_filter)
    )
    step = np.linalg.norm(high - low, axis=2)
    return float((step[outline] > EDGE_STEP).mean())
