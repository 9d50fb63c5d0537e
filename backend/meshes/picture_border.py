"""What lies along the border of a picture: drawn frames, letterbox bars, corner colours.

Pictures are (h, w, 3) float32 in CIE Lab.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from backend.meshes.masks import EIGHT_NEIGHBOURS, Mask

Lab = NDArray[np.float32]

WIDEST_BAR, WIDEST_FRAME = 0.3, 0.12
SAME_COLOUR, STEP = 4.0, 5.0
FRAME_STEP_SHARE, BAR_STEP_SHARE = 0.9, 0.985
BLUR_ROWS, BLUR_SHARE, SMEAR_SHARE = 3, 0.012, 0.008
PAPER_LIGHT, PAPER_CHROMA = 85.0, 6.0
FRAME_SPAN, FRAME_DEPTH = 0.8, 0.1


class Margins(NamedTuple):
    """Widths in pixels of what surrounds the picture proper; zero where there is nothing."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    def inside(self, shape: tuple[int, ...]) -> tuple[slice, slice]:
        """Rows and columns of the picture proper."""
        return slice(self.top, shape[0] - self.bottom), slice(self.left, shape[1] - self.right)


def frame_margins(lab: Lab) -> Margins:
    """Measure a drawn frame, or bars on two opposite sides.

    A side counts when its rows are of one colour and then nearly the whole row changes at once.
    A white margin on all four sides is taken for paper, not for a frame.
    """
    sides = (lab, lab[::-1], lab.transpose(1, 0, 2), lab.transpose(1, 0, 2)[::-1])
    found = [_uniform_rows(side) for side in sides]
    top, bottom, left, right = found
    across, down = slice(left, lab.shape[1] - right), slice(top, lab.shape[0] - bottom)
    spans = (across, across, down, down)
    smear = max(1, round(SMEAR_SHARE * max(lab.shape)))  # a frame's edge is soft when enlarged
    widths = Margins(*(width + smear for width in found))
    within = [_step_share(s[:, span], w) for s, w, span in zip(sides, found, spans, strict=True)]
    if min(within) > FRAME_STEP_SHARE:
        is_frame = max(found) < WIDEST_FRAME * max(lab.shape) and not _is_paper(lab[0])
        return widths if is_frame else Margins()
    full = [_step_share(side, width) for side, width in zip(sides, found, strict=True)]
    if min(full[:2]) > BAR_STEP_SHARE:
        return Margins(widths.top, widths.bottom)
    if min(full[2:]) > BAR_STEP_SHARE:
        return Margins(left=widths.left, right=widths.right)
    return Margins()


def drop_frame_lines(mask: Mask) -> Mask:
    """Remove islands that run around the picture and leave its middle empty."""
    labels, count = ndimage.label(mask, EIGHT_NEIGHBOURS)
    kept = np.ones(count + 1, dtype=np.bool_)
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        kept[index] = not _runs_around(labels[box] == index, mask.shape)
    rest: Mask = mask & kept[labels]
    return rest


def _runs_around(island: Mask, shape: tuple[int, ...]) -> bool:
    height, width = island.shape
    if height < FRAME_SPAN * shape[0] or width < FRAME_SPAN * shape[1]:
        return False
    y, x = round(FRAME_DEPTH * height), round(FRAME_DEPTH * width)
    return not island[y : height - y, x : width - x].any()


def _uniform_rows(lab: Lab) -> int:
    """Rows from the top that are of the first row's colour; 0 when they do not end in time."""
    most = max(2, round(WIDEST_BAR * lab.shape[0]))
    colour = np.median(lab[0], axis=0)
    near = np.linalg.norm(lab[:most] - colour, axis=2) < SAME_COLOUR
    other = np.flatnonzero(near.mean(axis=1) < 0.97)
    return int(other[0]) if len(other) else 0


def _step_share(lab: Lab, width: int) -> float:
    """Share of the row that differs from the frame's colour right after the frame."""
    if not width:
        return 0.0
    colour = np.median(lab[:width].reshape(-1, 3), axis=0)
    after = lab[width : width + max(BLUR_ROWS, round(BLUR_SHARE * max(lab.shape)))]
    changed = (np.linalg.norm(after - colour, axis=2) > STEP).any(axis=0)
    return float(changed.mean()) if len(changed) else 0.0


def _is_paper(row: Lab) -> bool:
    light, *chroma = np.median(row, axis=0)
    return bool(light > PAPER_LIGHT and np.hypot(*chroma) < PAPER_CHROMA)
