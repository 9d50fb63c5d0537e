"""Parts of a picture that do not go round the object: faces, logos, pockets, windows."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from backend.meshes.masks import Mask
from backend.meshes.texturing.unseen_colour.faces import find_faces
from backend.meshes.texturing.unseen_colour.few_colours import sorted_colours
from backend.meshes.texturing.unseen_colour.mixed_rims import find_mixed_rims
from backend.meshes.texturing.unseen_colour.picture_crop import PictureCrop
from backend.meshes.texturing.unseen_colour.scattered_regions import find_scattered

Rgb = NDArray[np.uint8]

WORK_PX = 320
BAND_SHARE = 0.02
LEAST_CONTACT = 0.25
"""Length along the outline over the square root of the area: less makes an island."""
COMMON_SHARE, SCATTERED_SHARE = 0.2, 0.15
"""Of the outline, what a colour must hold to be expected behind, in islands of it too: of any
kind, and of those that are scattered over the object."""
DETAIL_SHARE = 0.02
"""Of the object, what a part that reaches no outline must have for its colour to count: the red
buttons of somebody with a red hat are not expected behind."""
LARGE_ISLAND_SHARE = 0.08
"""Of the object, what an island must have to go on behind where nothing around tells what else
would."""
ISLAND_FRINGE_PX = 3
"""How far around an island its colours still are: shades of drawn eyes, red light on snow."""
BELT_SHARE = 0.6
"""Of a row from outline to outline, what one colour must have that is at both of its ends."""
SMOOTH_PX, SMOOTH_COLOUR = 5, 30
PATTERN_COUNT, PATTERN_RATIO, SPECK_PX = 20, 4.0, 6
"""So many islands of one colour and of about one area are a pattern, as spots of a leopard are."""


@dataclass(frozen=True)
class Regions:
    """Parts of a picture by what they do at the outline.

    Parameters
    ----------
    islands : (h, w) float32
        1 where a region hardly reaches the outline and its colour holds little of it elsewhere, and
        where a face is: it is not expected on the back.
    around : (h, w) float32
        1 where a colour goes from outline to outline, as a belt does: it is expected to go round.
    scattered : (h, w) float32
        1 where regions of one colour are scattered over the object, as panels of a ball are.
    labels : (h, w) int32
        Colours by number, 0 outside, in the crop of the object to ``WORK_PX``.
    """

    islands: NDArray[np.float32]
    around: NDArray[np.float32]
    scattered: NDArray[np.float32]
    labels: NDArray[np.int32]


def find_regions(rgb: Rgb, core: Mask, whole: Mask | None = None) -> Regions:
    """Find the regions of one colour and say which of them go round.

    Parameters
    ----------
    rgb : (h, w, 3) uint8
    core : (h, w) bool
        The object without its rim.
    whole : (h, w) bool or None
        That without the edges of what is nearer, which cut regions off; None: there are none.
    """
    none = np.zeros(core.shape, dtype=np.float32)
    nothing = Regions(none, none, none, np.zeros((0, 0), dtype=np.int32))
    if not core.any():
        return nothing
    crop = PictureCrop.of(core, WORK_PX)
    small = np.rint(crop.small(rgb)).astype(np.uint8)
    body, inside = (crop.small(mask) > 0.5 for mask in (core, core if whole is None else whole))
    if not inside.any():
        return nothing
    labels = posterised(small, inside)
    scattered = find_scattered(labels)
    alone = _alone(labels, inside, body, scattered)
    alone &= ~find_mixed_rims(alone, labels, LARGE_ISLAND_SHARE)
    is_island = ndimage.binary_dilation(alone, iterations=ISLAND_FRINGE_PX) | find_faces(small)
    return Regions(
        crop.in_picture(is_island, core.shape),
        crop.in_picture(_belts(labels, body), core.shape),
        crop.in_picture(scattered[_nearest(inside)], core.shape),
        labels,
    )


def _alone(labels: NDArray[np.int32], inside: Mask, body: Mask, scattered: Mask) -> Mask:
    """Find the parts that hardly reach the outline, in colours that are not expected behind."""
    contact, is_pattern, is_detail = _contact(labels, inside)
    is_part = scattered | ~is_detail
    is_expected = is_pattern | (_is_common(labels, scattered, body) & is_part)
    near = _nearest(inside)
    is_rare = (contact < LEAST_CONTACT)[near] & ~is_expected[near]
    return np.asarray(ndimage.binary_fill_holes(is_rare))


def posterised(rgb: Rgb, inside: Mask) -> NDArray[np.int32]:
    """Number the few colours of a picture, (h, w) int32; 0 outside."""
    labels = np.zeros(inside.shape, dtype=np.int32)
    if not inside.any():
        return labels
    smooth = cv2.bilateralFilter(rgb, SMOOTH_PX, SMOOTH_COLOUR, SMOOTH_PX)
    labels[inside] = 1 + sorted_colours(smooth[inside])
    return labels


def _contact(labels: NDArray[np.int32], inside: Mask) -> tuple[NDArray[np.float64], Mask, Mask]:
    """Length along the outline over the square root of the area of each pixel's region.

    Infinite outside. Also which pixels belong to regions that repeat, and which to small ones that
    reach no outline.
    """
    band, band_px = _rim(inside)
    contact = np.full(inside.shape, np.inf)
    is_pattern, is_detail = np.zeros_like(inside), np.zeros_like(inside)
    most_px = DETAIL_SHARE * np.count_nonzero(inside)
    for colour in np.unique(labels[inside]):
        regions, count = ndimage.label(labels == colour)
        areas = np.bincount(regions.ravel(), minlength=count + 1)
        touching = np.bincount(regions[band], minlength=count + 1) / band_px
        shares = touching / np.sqrt(np.maximum(areas, 1))
        mine = regions > 0
        contact[mine] = shares[regions[mine]]
        is_pattern[mine] = _repeats(areas, shares)[regions[mine]]
        is_detail[mine] = ((touching == 0) & (areas < most_px))[regions[mine]]
    return contact, is_pattern, is_detail


def _nearest(inside: Mask) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Find the nearest pixel inside of each pixel: its rows and its columns."""
    rows, columns = ndimage.distance_transform_edt(
        ~inside, return_distances=False, return_indices=True
    )
    return rows, columns


def _rim(mask: Mask) -> tuple[Mask, float]:
    """Find the pixels along the edge of a mask, and how wide this band is, in pixels."""
    width_px = max(2.0, BAND_SHARE * max(mask.shape))
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return mask & (depth <= width_px), width_px


def _is_common(labels: NDArray[np.int32], scattered: Mask, body: Mask) -> Mask:
    """Say which pixels have a colour that holds much of the outline of the whole object.

    The panels of a drum between its ropes reach no outline, but go on behind as those at its sides
    do.
    """
    rim = np.bincount(labels[_rim(body)[0] & (labels > 0)], minlength=int(labels.max()) + 1)
    share = rim / max(1, int(rim.sum()))
    found: Mask = share[labels] >= np.where(scattered, SCATTERED_SHARE, COMMON_SHARE)
    return found


def _belts(labels: NDArray[np.int32], body: Mask) -> Mask:
    """Find the pixels of the colour that is at both ends of a row of the body and has most of it.

    A large region in front, such as a shirt under an open coat, does not go round. ``labels`` are
    0 where edges of something nearer cut regions off. Outside as in the outermost pixels of a row.
    """
    belts = np.zeros(labels.shape, dtype=np.bool_)
    for row, belt, inside in zip(labels, belts, body, strict=True):
        edges = np.flatnonzero(np.diff(np.pad(inside, 1).astype(np.int8)))
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            run = row[start:stop]
            known = run[run > 0]
            if not len(known) or known[0] != known[-1]:
                continue
            if np.count_nonzero(known == known[0]) >= BELT_SHARE * len(run):
                belt[start:stop] = run == known[0]
                belt[:start] |= start == edges[0]
                belt[stop:] |= stop == edges[-1]
    return belts


def _repeats(areas: NDArray[np.int64], shares: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say which regions of one colour are islands that many others resemble, or mere specks."""
    is_spot = (shares < LEAST_CONTACT) & (areas > SPECK_PX)
    is_spot[0] = False  # what is not of this colour
    sizes = np.sort(areas[is_spot])
    low = np.searchsorted(sizes, areas / PATTERN_RATIO, side="left")
    high = np.searchsorted(sizes, areas * PATTERN_RATIO, side="right")
    repeats: NDArray[np.bool_] = (high - low >= PATTERN_COUNT) | (areas <= SPECK_PX)
    return repeats
