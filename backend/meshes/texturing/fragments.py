"""What a rasteriser found: the face on each pixel, and where on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PLACES_AT_A_TIME = 1 << 14


@dataclass(frozen=True)
class Fragments:
    """The nearest face on each pixel of a picture.

    Parameters
    ----------
    face_ids : (h, w) int32
        Number of the face plus 1; 0 where there is none.
    barycentric : (h, w, 3) float32
        Weights of its corners, from 0 to 1; all 0 where there is no face.
    """

    face_ids: NDArray[np.int32]
    barycentric: NDArray[np.float32]

    @property
    def covered(self) -> NDArray[np.bool_]:
        """Which pixels show a face, (h, w) bool."""
        covered: NDArray[np.bool_] = self.face_ids > 0
        return covered

    @property
    def seen_faces(self) -> NDArray[np.int64]:
        """Numbers of the faces on any pixel, ascending."""
        return np.flatnonzero(np.bincount(self.face_ids.reshape(-1))[1:])


def interpolate(
    values: NDArray[np.floating], faces: NDArray[np.integer], fragments: Fragments
) -> NDArray[np.float32]:
    """Interpolate values of vertices over a picture.

    Parameters
    ----------
    values : (n, c) float
        One row per vertex.
    faces : (m, 3) int
    fragments : Fragments
        Of these faces.

    Returns
    -------
    (h, w, c) float32
        0 where there is no face.
    """
    shape = fragments.face_ids.shape
    pixels = np.zeros((shape[0] * shape[1], values.shape[1]), dtype=np.float32)
    pixels[np.flatnonzero(fragments.face_ids)] = interpolate_covered(values, faces, fragments)
    return pixels.reshape(*shape, -1)


def interpolate_covered(
    values: NDArray[np.floating], faces: NDArray[np.integer], fragments: Fragments
) -> NDArray[np.float32]:
    """Interpolate like `interpolate`, for covered pixels alone in the order of rows, (k, c)."""
    covered = np.flatnonzero(fragments.face_ids)
    numbers = fragments.face_ids.reshape(-1).take(covered) - 1
    weights = fragments.barycentric.reshape(-1, 3).take(covered, axis=0)
    return interpolate_on_faces(values, faces, numbers, weights)


def interpolate_on_faces(
    values: NDArray[np.floating],
    faces: NDArray[np.integer],
    numbers: NDArray[np.integer],
    weights: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Interpolate values of vertices at places given by face, from 0, and weights of its corners.

    Parameters
    ----------
    values : (n, c) float
    faces : (m, 3) int
    numbers : (k,) int
    weights : (k, 3) float32

    Returns
    -------
    (k, c) float32
    """
    table = np.asarray(values, dtype=np.float32)
    of_corners = table[faces] if len(faces) <= len(numbers) else None
    found = np.zeros((len(numbers), table.shape[1]), dtype=np.float32)
    for start in range(0, len(numbers), PLACES_AT_A_TIME):  # few enough to stay in the cache
        some = slice(start, start + PLACES_AT_A_TIME)
        if of_corners is None:
            there = table[faces[numbers[some]]]
        else:
            there = of_corners.take(numbers[some], axis=0)
        np.einsum("kn,knc->kc", weights[some], there, out=found[some])
    return found
