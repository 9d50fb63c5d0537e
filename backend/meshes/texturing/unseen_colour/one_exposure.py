"""Brings pictures of one object to the exposure of the first.

Photos that were taken one after the other differ in exposure and white balance; where two of them
meet on the surface that would be an edge. What both show of the surface tells how they differ.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backend.meshes.texturing.unseen_colour.picture_view import PictureView

Values = NDArray[np.float64]

LEAST_SEEN = 0.2
LEAST_SHARED = 40
"""Places that two pictures must both show to be compared; each colour channel needs as many."""
BLUR = 0.5
"""Of the distance of places: pictures do not lie on the surface to the pixel."""
DARKEST, BRIGHTEST = 16.0, 245.0
"""Of 255: what is darker is noise, what is brighter may be cut off."""
MOST_GAIN, MOST_SPREAD = 1.7, 0.25
"""Pictures that differ more, or not alike everywhere, differ in what they show."""


def exposure_gains(
    views: Sequence[PictureView], points: Values, normals: Values, spacing: float
) -> Values:
    """Find what the colours of each picture must be multiplied by to go with the first.

    Parameters
    ----------
    views : sequence of PictureView
    points, normals : (n, 3) float64
        Places of the surface, in the unit of the pictures' frames.
    spacing : float
        Distance of places, where the object is about 1 in size.

    Returns
    -------
    (v, 3) float64
        Of red, green and blue; 1 for the first, and for pictures that share too little of the
        surface with others to say.
    """
    shown = [_shown(view, points, normals, spacing) for view in views] if len(views) > 1 else []
    rows, wanted = [], []
    for one, other in itertools.combinations(range(len(shown)), 2):
        ratio, weight = _log_ratio(shown[one], shown[other])
        row = np.zeros(len(views))
        row[one], row[other] = -weight, weight
        rows.append(row)
        wanted.append(weight * ratio)
    if not rows:
        return np.ones((len(views), 3))
    logs = np.linalg.lstsq(np.array(rows)[:, 1:], np.array(wanted), rcond=None)[0]
    return np.exp(np.vstack([np.zeros(3), logs]))


def _shown(view: PictureView, points: Values, normals: Values, spacing: float) -> Values:
    """Colours that a picture shows of the surface, (n, 3); NaN where it shows none."""
    is_seen = view.seen(points, normals) > LEAST_SEEN
    colours = np.full((len(points), 3), np.nan)
    if is_seen.any():
        colours[is_seen] = view.colours_at(points[is_seen], BLUR * spacing / view.px_size)
    return colours


def _log_ratio(one: Values, other: Values) -> tuple[Values, float]:
    """Logarithm of what ``other`` must be multiplied by, (3,), and how sure that is; 0: not at all.

    The exposure is told by all channels together, the balance of white by those that are neither
    dark nor cut off.
    """
    usable = (np.minimum(one, other) > DARKEST) & (np.maximum(one, other) < BRIGHTEST)
    places = usable.any(axis=1)
    unknown = np.zeros(3), 0.0
    if np.count_nonzero(places) < LEAST_SHARED:
        return unknown
    logs = np.where(usable, np.log(np.maximum(one, 1)) - np.log(np.maximum(other, 1)), np.nan)
    exposure = np.nanmean(logs[places], axis=1)
    found = np.full(3, np.median(exposure))
    for channel in np.flatnonzero(usable.sum(axis=0) >= LEAST_SHARED):
        found[channel] = np.nanmedian(logs[:, channel])
    spread = np.median(np.abs(exposure - np.median(exposure)))
    if np.abs(found).max() > np.log(MOST_GAIN) or spread > MOST_SPREAD:
        return unknown
    return found, float(np.sqrt(np.count_nonzero(places)))
