"""The few colours that many colours come down to."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

COLOURS, FIT_ROUNDS = 7, 20
SAMPLES = 20_000
SAME_COLOUR = 10.0

Lab = NDArray[np.float32]


def lab(colours: NDArray[np.floating] | NDArray[np.uint8]) -> Lab:
    """CIE Lab of sRGB colours from 0 to 255, (n, 3) float32."""
    row = np.asarray(colours, dtype=np.float32)[None] / 255
    return np.asarray(cv2.cvtColor(row, cv2.COLOR_RGB2LAB)[0])


def sorted_colours(colours: NDArray[np.floating] | NDArray[np.uint8]) -> NDArray[np.int64]:
    """Sort colours into at most seven.

    These are found in CIE Lab by k-means that starts from the colours furthest apart; those
    closer than 10 become one.

    Parameters
    ----------
    colours : (n, 3) float or uint8
        sRGB, 0 to 255; at least one.

    Returns
    -------
    (n,) int64
        From 0 to 6; not every number need occur.
    """
    places = lab(colours)
    step = max(1, len(places) // SAMPLES)
    centres = _centres(places[::step])
    return _merged(centres)[_nearest(places, centres)]


def _centres(places: Lab) -> Lab:
    chosen = [places.mean(axis=0)]
    for _ in range(COLOURS - 1):
        away = np.min([np.linalg.norm(places - one, axis=1) for one in chosen], axis=0)
        chosen.append(places[away.argmax()])
    centres = np.stack(chosen)
    for _ in range(FIT_ROUNDS):
        nearest = _nearest(places, centres)
        counts = np.bincount(nearest, minlength=COLOURS)
        sums = np.stack([np.bincount(nearest, row, COLOURS) for row in places.T], axis=1)
        moved = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centres)
        if np.abs(moved - centres).max() < 0.5:
            break
        centres = moved.astype(np.float32)
    return centres


def _nearest(places: Lab, centres: Lab) -> NDArray[np.int64]:
    """Find the nearest centre of each colour: least |c|^2 - 2 x c."""
    away = (centres * centres).sum(axis=1) - 2 * (places @ centres.T)
    return np.asarray(away.argmin(axis=1), dtype=np.int64)


def _merged(centres: Lab) -> NDArray[np.int64]:
    """Give colours that are nearly the same one number, (COLOURS,) int64."""
    away = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    return np.asarray((away < SAME_COLOUR).argmax(axis=1), dtype=np.int64)
