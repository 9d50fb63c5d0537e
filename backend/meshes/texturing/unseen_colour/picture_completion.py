"""Fills holes of a picture with other parts of it, so that they look like the rest.

Every pixel of a hole takes the colour of the pixel whose surroundings are most like what is there
so far, from coarse to fine.

Source
------
Wexler, Shechtman, Irani, "Space-time completion of video" (2007): every patch votes for the
pixels that it covers. Barnes et al., "PatchMatch" (2009): what suits a pixel probably suits its
neighbours, moved along. Here a patch must also have, blurred, the colour that is expected there.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from backend.meshes.masks import Mask

LEVELS, ROUNDS = 3, 3
PATCH_PX, PARTS = 7, 12
FIT_PATCHES = 4000
EXPECTED_WEIGHT, EXPECTED_BLUR_PX = 2.0, 3.0
STEPS_PX = (8, 4, 2, 1)
ASIDE = ((0, 1), (0, -1), (1, 0), (-1, 0))
LAST_GUESS_PX = 2
LEAST_VOTE = 1e-4

Lab = NDArray[np.float32]
Keys = NDArray[np.float32]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class PatchKeys:
    """What patches are compared by: the directions in which they differ most, and blurred colour.

    Parameters
    ----------
    mean, axes : (147,), (147, k)
        Of the patches that may be taken.
    """

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]

    @classmethod
    def of(cls, picture: Lab, centres: Places) -> PatchKeys:
        """Learn them from patches around some places of a picture."""
        patches = _cut_out(picture, centres[:: -(-len(centres) // FIT_PATCHES)])
        mean = patches.mean(axis=0)
        spread = (patches - mean).T @ (patches - mean)
        _, axes = np.linalg.eigh(spread)
        return cls(mean, axes[:, -PARTS:])

    def keys(self, picture: Lab, blurred: Lab, places: Places) -> Keys:
        """Describe the patches around places, (n, k + 3)."""
        found = (_cut_out(picture, places) - self.mean) @ self.axes
        colours = EXPECTED_WEIGHT * blurred[tuple(places.T)]
        return np.column_stack([found, colours]).astype(np.float32)


class Matcher:
    """Finds patches of a picture like others.

    Parameters
    ----------
    picture : (h, w, 3) float32
    allowed : (h, w) bool
        Which may be taken; not empty.
    """

    def __init__(self, picture: Lab, allowed: Mask) -> None:
        self.allowed = allowed
        self._centres = np.argwhere(allowed)
        self._describe = PatchKeys.of(picture, self._centres)
        blurred = cv2.GaussianBlur(picture, (0, 0), EXPECTED_BLUR_PX)
        self._offered = np.full((*allowed.shape, PARTS + 3), np.inf, dtype=np.float32)
        self._offered[allowed] = self._describe.keys(picture, blurred, self._centres)
        self._random = np.random.default_rng(0)

    def wanted(self, picture: Lab, expected: Lab, asked: Places) -> Keys:
        """Describe what is wanted at places."""
        return self._describe.keys(picture, expected, asked)

    def best(self, wanted: Keys) -> Places:
        """Find the best of all."""
        return self._centres[cKDTree(self._offered[self.allowed]).query(wanted)[1]]

    def nearest_allowed(self, places: Places) -> Places:
        """Move places, (n, 2), to the nearest that may be taken."""
        nearest = ndimage.distance_transform_edt(
            ~self.allowed, return_distances=False, return_indices=True
        )
        return np.stack([rows[tuple(places.T)] for rows in nearest], axis=-1).astype(np.int64)

    def better(self, taken: Places, asked: Places, wanted: Keys) -> NDArray[np.float32]:
        """Improve what places take by what their neighbours take, and by guesses near it.

        Parameters
        ----------
        taken : (h, w, 2) int64
            Written at the places asked for.

        Returns
        -------
        (n,) float32
            How much each differs from what is wanted.
        """
        found = taken[tuple(asked.T)]
        away = self._away(found, wanted)
        limit = np.array(self.allowed.shape) - 1
        for step in STEPS_PX:
            for aside in ASIDE:
                move = step * np.array(aside)
                beside = np.clip(asked + move, 0, limit)
                self._try(taken[tuple(beside.T)] - move, found, away, wanted)
                taken[tuple(asked.T)] = found
        reach = max(self.allowed.shape) // 2
        while reach >= LAST_GUESS_PX:
            guess = found + self._random.integers(-reach, reach + 1, found.shape)
            self._try(guess, found, away, wanted)
            reach //= 2
        taken[tuple(asked.T)] = found
        return away

    def _try(self, others: Places, found: Places, away: NDArray[np.float32], wanted: Keys) -> None:
        others = np.clip(others, 0, np.array(self.allowed.shape) - 1)
        distance = self._away(others, wanted)
        nearer = distance < away
        found[nearer], away[nearer] = others[nearer], distance[nearer]

    def _away(self, places: Places, wanted: Keys) -> NDArray[np.float32]:
        off = self._offered[tuple(places.T)] - wanted
        return np.asarray(np.einsum("ij,ij->i", off, off))


def completed(picture: Lab, source: Mask, hole: Mask, expected: Lab) -> Places:
    """Find for each pixel of a hole the pixel that it takes.

    Parameters
    ----------
    picture : (h, w, 3) float32
        CIE Lab.
    source : (h, w) bool
        What may be taken; not empty.
    hole : (h, w) bool
    expected : (h, w, 3) float32
        CIE Lab; blurred colours of what is to come there.

    Returns
    -------
    (h, w, 2) int64
        Row and column; of itself outside the hole.
    """
    taken = None
    for level in reversed(range(LEVELS)):
        size = tuple(max(PATCH_PX, side >> level) for side in source.shape)
        small, wanted = _resized(picture, size), _resized(expected, size)
        allowed = _whole(_resized(source.astype(np.float32), size) > 0.99)
        open_ = _resized(hole.astype(np.float32), size) > 0.01
        if allowed.any():
            start = None if taken is None else _finer(taken, size)
            taken = _refined(small, Matcher(small, allowed), open_, wanted, start)
    return _own_places(source.shape) if taken is None else taken


def _whole(source: Mask) -> Mask:
    """Find the middles of the patches within, or those half within where there are none."""
    whole = ndimage.binary_erosion(source, np.ones((PATCH_PX, PATCH_PX), dtype=np.bool_))
    return whole if whole.any() else source


def _resized(image: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA))


def _own_places(shape: tuple[int, ...]) -> Places:
    return np.moveaxis(np.indices(shape), 0, -1).astype(np.int64)


def _finer(taken: Places, shape: tuple[int, ...]) -> Places:
    """Take the same on a level of twice as many pixels."""
    places = _own_places(shape)
    coarse = np.minimum(places // 2, np.array(taken.shape[:2]) - 1)
    fine = 2 * taken[tuple(np.moveaxis(coarse, -1, 0))] + places - 2 * coarse
    return np.asarray(np.minimum(fine, np.array(shape) - 1))


def _refined(
    picture: Lab, matcher: Matcher, hole: Mask, expected: Lab, start: Places | None
) -> Places:
    """Look for patches and let them vote, in turn; returns what each pixel takes."""
    reach = PATCH_PX // 2
    asked = np.argwhere(ndimage.binary_dilation(hole, iterations=reach))
    where = tuple(asked.T)
    taken = _own_places(hole.shape) if start is None else start
    taken[where] = matcher.nearest_allowed(taken[where])
    shown = expected if start is None else picture[tuple(np.moveaxis(start, -1, 0))]
    now = np.where(hole[..., None], shown, picture)
    if start is None:
        taken[where] = matcher.best(matcher.wanted(now, expected, asked))
    away = matcher.better(taken, asked, matcher.wanted(now, expected, asked))
    for _ in range(ROUNDS - 1):
        now = np.where(hole[..., None], _voted(picture, asked, taken[where], away), now)
        away = matcher.better(taken, asked, matcher.wanted(now, expected, asked))
    taken[~hole] = _own_places(hole.shape)[~hole]
    return taken


def _voted(picture: Lab, asked: Places, found: Places, away: NDArray[np.float32]) -> Lab:
    """Lay the found patches over each other, good ones above all."""
    reach = PATCH_PX // 2
    typical = max(float(np.percentile(away, 75)), 1e-3)
    votes = np.exp(-away / typical / 2) + LEAST_VOTE
    counted = np.dstack([picture, np.ones(picture.shape[:2], dtype=np.float32)])
    padded = np.pad(counted, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    total = np.zeros_like(padded)
    for row in range(PATCH_PX):
        for column in range(PATCH_PX):
            shares = votes[:, None] * padded[found[:, 0] + row, found[:, 1] + column]
            total[asked[:, 0] + row, asked[:, 1] + column] += shares
    inner = total[reach:-reach, reach:-reach]
    return np.asarray(inner[..., :3] / np.maximum(inner[..., 3:], 1e-9))


def _cut_out(picture: Lab, centres: Places) -> NDArray[np.float32]:
    """Cut out patches, their middle counts most, (n, 147) float32."""
    reach = PATCH_PX // 2
    padded = np.pad(picture, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (PATCH_PX, PATCH_PX), axis=(0, 1))
    across = cv2.getGaussianKernel(PATCH_PX, PATCH_PX / 4).astype(np.float32)
    weights = np.sqrt(across @ across.T)
    cut = windows[tuple(centres.T)] * weights
    return np.asarray(cut.reshape(len(centres), -1), dtype=np.float32)
