"""The rasteriser for faces in one plane, as layouts are: row by row, without rays.

Of faces that cover one pixel the one with the lowest number counts, as everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from backend.meshes.texturing.fragments import Fragments
from backend.meshes.texturing.pixel_rule import PixelRule
from backend.meshes.texturing.screen_faces import INSIDE, ScreenFaces

PIXELS_AT_A_TIME = 1 << 18  # few enough to stay in the cache
MOST_LAYERS = 3.0  # of faces over the whole picture; below more of them rays are faster
MOST_ROWS = 4  # that a face crosses, beside one for each pixel of the picture
ROW_COST = 4  # of a row of a face, in pixels
_SINGLE = 2e-7  # of the screen: what places in single precision may be off
_NOBODY = np.iinfo(np.int32).max

Values = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class _Planes:
    """The weights of the corners as planes over the pixels.

    Parameters
    ----------
    origins : (m, 2) float64
        Column and row of a pixel near each face, from which the planes are counted.
    right, down, start : (m, 3) float64
        Of each weight: its growth for a pixel to the right and for one down, and at the origin.
    low, high : (m,) int64
        Rows that the face may cover, the last left out.
    slack : (m, 3) float64
        What each weight loses over the least distance that single precision knows.
    areas : (m,) float64
        In pixels.
    """

    origins: Values
    right: Values
    down: Values
    start: Values
    low: Indices
    high: Indices
    slack: Values
    areas: Values

    @classmethod
    def of(cls, faces: ScreenFaces, height: int, width: int, rule: PixelRule) -> _Planes:
        columns = rule.pixels(faces.corners[..., 0], width)
        rows = rule.pixels(faces.corners[..., 1], height)
        slack_px = _SINGLE * max(height, width)
        low = np.clip(np.ceil(rows.min(axis=1) - slack_px), 0, height)
        high = np.clip(np.floor(rows.max(axis=1) + slack_px) + 1, low, height)
        origins = np.stack([np.floor(columns.min(axis=1)), np.floor(rows.min(axis=1))], axis=1)
        x, y = columns - origins[:, :1], rows - origins[:, 1:]
        next_x, next_y = x[:, [1, 2, 0]], y[:, [1, 2, 0]]
        last_x, last_y = x[:, [2, 0, 1]], y[:, [2, 0, 1]]
        start = next_x * last_y - next_y * last_x
        double = start.sum(axis=1)
        right, down = (next_y - last_y) / double[:, None], (last_x - next_x) / double[:, None]
        return cls(
            origins,
            right,
            down,
            start / double[:, None],
            low.astype(np.int64),
            high.astype(np.int64),
            np.hypot(right, down) * slack_px,
            np.abs(double) / 2,
        )


def is_suitable(faces: ScreenFaces, height: int, width: int) -> bool:
    """Say whether faces lie in one plane and are neither piled up nor mere slivers."""
    nearest, furthest = faces.extent()
    if nearest != furthest:
        return False
    places = faces.corners[..., :2] * [width / 2, height / 2]
    sides = places[:, 1:] - places[:, :1]
    areas = np.abs(sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0]) / 2
    rows = np.ptp(places[..., 1], axis=1) + 1
    pixels = height * width
    is_shallow = areas.sum() <= MOST_LAYERS * pixels
    return bool(is_shallow and rows.sum() <= MOST_ROWS * len(faces) + pixels)


def rasterise(faces: ScreenFaces, height: int, width: int, rule: PixelRule) -> Fragments:
    """Find the face with the lowest number on each pixel, and where on it.

    Parameters
    ----------
    faces : ScreenFaces
        In one plane.
    height, width : int
        Pixels.
    rule : PixelRule

    Notes
    -----
    Places in single precision, as layouts are kept, miss pixels that their edges should pass
    through: such pixels go to a face beside them if no other has them.

    Time grows with the pixels and with the rows that faces cross; see `is_suitable`.
    """
    ids = np.full(height * width, _NOBODY, dtype=np.int32)
    weights = np.zeros((height * width, 3), dtype=np.float32)
    planes = _Planes.of(faces, height, width, rule)
    numbers = (faces.numbers + 1).astype(np.int32)
    beside = [_Pixels.none()]
    for some in _portions(planes):
        lines = _Lines.of(planes, some)
        own = lines.spans(np.full((1, 3), INSIDE), width)
        wider = lines.spans(planes.slack[lines.owners], width)
        _draw(lines.pixels(*own, width), numbers, ids, weights)
        beside.append(lines.added(own, wider, width))
    rest = _Pixels.joined(beside)
    _draw(rest.where(ids[rest.places] == _NOBODY), numbers, ids, weights)
    ids[ids == _NOBODY] = 0
    return Fragments(ids.reshape(height, width), weights.reshape(height, width, 3))


def _portions(planes: _Planes) -> Iterator[slice]:
    """Yield runs of faces that cover bearably many pixels together."""
    work = np.cumsum(planes.areas + ROW_COST * (planes.high - planes.low)) // PIXELS_AT_A_TIME
    cuts = np.flatnonzero(np.diff(work, prepend=-1, append=-1))
    for begin, end in pairwise(cuts.tolist()):
        yield slice(begin, end)


@dataclass(frozen=True)
class _Pixels:
    """Pixels of faces.

    Parameters
    ----------
    owners : (p,) int64
        The face of each, by position.
    places : (p,) int64
        Numbered row by row.
    weights : (p, 3) float32
        From 0 to 1.
    """

    owners: Indices
    places: Indices
    weights: NDArray[np.float32]

    @classmethod
    def none(cls) -> _Pixels:
        nothing = np.zeros(0, dtype=np.int64)
        return cls(nothing, nothing, np.zeros((0, 3), dtype=np.float32))

    @classmethod
    def joined(cls, several: Sequence[_Pixels]) -> _Pixels:
        return cls(
            np.concatenate([one.owners for one in several]),
            np.concatenate([one.places for one in several]),
            np.concatenate([one.weights for one in several]),
        )

    def where(self, kept: NDArray[np.bool_]) -> _Pixels:
        return _Pixels(self.owners[kept], self.places[kept], self.weights[kept])


@dataclass(frozen=True)
class _Lines:
    """Rows of faces.

    Parameters
    ----------
    owners, rows : (r,) int64
        The face, by position, and the row of pixels.
    origins : (r,) float64
        Column from which the others are counted.
    along, start : (r, 3) float64
        Growth of the weights from pixel to pixel, and the weights at the origin.
    """

    owners: Indices
    rows: Indices
    origins: Values
    along: Values
    start: Values

    @classmethod
    def of(cls, planes: _Planes, some: slice) -> _Lines:
        owners, rows = _expanded(planes.high[some] - planes.low[some])
        owners += some.start
        rows += planes.low[owners]
        below = (rows - planes.origins[owners, 1])[:, None]
        start = planes.start[owners] + planes.down[owners] * below
        return cls(owners, rows, planes.origins[owners, 0], planes.right[owners], start)

    def spans(self, slack: Values, width: int) -> tuple[Indices, Indices]:
        """Return the first column where no weight is below 0 by more than a slack, and the end."""
        least = -slack - self.start
        is_level = self.along == 0
        bound = least / np.where(is_level, 1, self.along)
        left = np.where(self.along > 0, bound, -np.inf).max(axis=1)
        right = np.where(self.along < 0, bound, np.inf).min(axis=1)
        right[(is_level & (least > 0)).any(axis=1)] = -np.inf
        first = np.clip(np.ceil(left) + self.origins, 0, width)
        end = np.clip(np.floor(right) + self.origins + 1, first, width)
        return first.astype(np.int64), end.astype(np.int64)

    def pixels(self, first: Indices, end: Indices, width: int) -> _Pixels:
        """Return all pixels from the first to the end of each line."""
        at_first = self.start + self.along * (first - self.origins)[:, None]
        lines, steps = _expanded(end - first)
        weights = at_first.astype(np.float32)[lines]
        weights += self.along.astype(np.float32)[lines] * steps.astype(np.float32)[:, None]
        np.clip(weights, 0, 1, out=weights)
        weights /= (weights[:, 0] + weights[:, 1] + weights[:, 2])[:, None]
        places = (self.rows * width + first)[lines] + steps
        return _Pixels(self.owners[lines], places, weights)

    def added(
        self, own: tuple[Indices, Indices], wider: tuple[Indices, Indices], width: int
    ) -> _Pixels:
        """Return the pixels of the lines where spans are wider; some are in their own as well."""
        rows = np.flatnonzero((wider[0] != own[0]) | (wider[1] != own[1]))
        lines = _Lines(
            self.owners[rows],
            self.rows[rows],
            self.origins[rows],
            self.along[rows],
            self.start[rows],
        )
        return lines.pixels(wider[0][rows], wider[1][rows], width)


def _draw(
    found: _Pixels,
    numbers: NDArray[np.int32],
    ids: NDArray[np.int32],
    weights: NDArray[np.float32],
) -> None:
    """Give pixels to their face unless a lower one has them."""
    given = numbers[found.owners]
    np.minimum.at(ids, found.places, given)
    shown = ids[found.places] == given
    if not shown.all():
        found = found.where(shown)
    weights[found.places] = found.weights


def _expanded(counts: Indices) -> tuple[Indices, Indices]:
    """Repeat each entry as often as it counts, and number the repeats from 0."""
    owners = np.repeat(np.arange(len(counts)), counts)
    begins = np.cumsum(counts) - counts
    return owners, np.arange(len(owners)) - begins[owners]
