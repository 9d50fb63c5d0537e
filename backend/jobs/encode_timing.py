"""How long the files of a job take to compress at each level, timed on the files themselves.

Nothing is written. Of large files every k-th piece is compressed and the time scaled up, so that
all levels together stay within a second.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Protocol

from backend.units import Clock

if TYPE_CHECKING:  # the web process reads what was measured and needs no pictures
    from PIL.Image import Image

ROUNDS = 3
# The slowest level takes about half of the time of all levels.
LEVELS_PER_SLOWEST = 2
# On a machine that is busy otherwise it takes longer than planned.
BUDGET_S, LIMIT_S = 0.4, 1.0
TEXT_PIECE_BYTES, BAND_PX = 1 << 16, 16
PILOT_EVERY, MAX_EVERY = 16, 64
RAW_DEFLATE = -15


class Payload(Protocol):
    """Something that is compressed."""

    @property
    def size(self) -> int:
        """How much of it there is, in a unit of its own."""

    def piece(self, every: int, first: int) -> Payload:
        """Return every ``every``-th part of it."""

    def encode(self, level: int) -> int:
        """Compress it; returns the bytes that came out."""


@dataclass(frozen=True)
class Text:
    """Bytes that an archive deflates."""

    data: bytes

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)

    def piece(self, every: int, first: int) -> Text:
        """Join every ``every``-th 64 KiB."""
        starts = range(0, len(self.data), TEXT_PIECE_BYTES)
        chosen = _every(starts, every, first)
        return Text(b"".join(self.data[at : at + TEXT_PIECE_BYTES] for at in chosen))

    def encode(self, level: int) -> int:
        """Deflate it as an archive does."""
        return _deflated_bytes(self.data, level)


@dataclass(frozen=True)
class Picture:
    """A picture that is written as PNG, and deflated once more if it lies in an archive."""

    image: Image
    archived: bool

    @property
    def size(self) -> int:
        """Rows."""
        return self.image.height

    def piece(self, every: int, first: int) -> Picture:
        """Set every ``every``-th band of 16 rows below each other."""
        if every == 1:
            return self
        from PIL import Image

        width, height = self.image.size
        tops = _every(range(0, height, BAND_PX), every, first)
        bands = [self.image.crop((0, y, width, min(y + BAND_PX, height))) for y in tops]
        joined = Image.new(self.image.mode, (width, sum(band.height for band in bands)))
        top = 0
        for band in bands:
            joined.paste(band, (0, top))
            top += band.height
        return Picture(joined, self.archived)

    def encode(self, level: int) -> int:
        """Write it into memory."""
        buffer = io.BytesIO()
        self.image.save(buffer, "PNG", compress_level=level)
        data = buffer.getvalue()
        return _deflated_bytes(data, level) if self.archived else len(data)


@dataclass(frozen=True)
class LevelTimes:
    """What came out.

    Parameters
    ----------
    seconds : dict
        Level to the time of all files, once for each round.
    size_bytes : dict
        Level to the size of all files, about.
    sampled : float
        Share of the data that one round compressed.
    """

    seconds: dict[int, tuple[float, ...]]
    size_bytes: dict[int, int]
    sampled: float


def read_payloads(archive: Path, pictures: Iterable[Path]) -> list[Payload]:
    """Unpack what a job wrote: everything in its archive, and pictures beside it.

    Raises
    ------
    OSError, zipfile.BadZipFile
        A file cannot be read.
    """
    found: list[Payload] = []
    with zipfile.ZipFile(archive) as opened:
        for name in opened.namelist():
            data = opened.read(name)
            found.append(_picture(data, archived=True) if name.endswith(".png") else Text(data))
    found += [_picture(path.read_bytes(), archived=False) for path in pictures]
    return [payload for payload in found if payload.size]


def time_levels(
    payloads: Sequence[Payload], levels: Sequence[int], clock: Clock, stop: Callable[[], bool]
) -> LevelTimes | None:
    """Time each level in turn, three rounds of them.

    Parameters
    ----------
    stop : callable
        Asked before each step; True ends it.

    Returns
    -------
    LevelTimes or None
        None if it was stopped, took a second or had nothing to do.
    """
    if not payloads or not levels:
        return None
    deadline_s = clock.monotonic_s() + LIMIT_S
    timer = _Timer(payloads, clock, lambda: stop() or clock.monotonic_s() > deadline_s)
    pilot = timer.round((max(levels),), PILOT_EVERY, 0)
    if pilot is None:
        return None
    planned_s = ROUNDS * LEVELS_PER_SLOWEST * pilot[max(levels)][0]
    every = min(max(1, math.ceil(planned_s / BUDGET_S)), MAX_EVERY)
    rounds = []
    for number in range(ROUNDS):
        found = timer.round(levels, every, number)
        if found is None:
            return None
        rounds.append(found)
    return LevelTimes(
        seconds={level: tuple(found[level][0] for found in rounds) for level in levels},
        size_bytes={level: round(median(f[level][1] for f in rounds)) for level in levels},
        sampled=1 / every,
    )


class _Timer:
    def __init__(self, payloads: Sequence[Payload], clock: Clock, stop: Callable[[], bool]) -> None:
        self._payloads = payloads
        self._clock = clock
        self._stop = stop

    def round(
        self, levels: Sequence[int], every: int, first: int
    ) -> dict[int, tuple[float, float]] | None:
        """Return seconds and bytes of the whole for each level; None when stopped."""
        pieces = [(payload.piece(every, first), payload.size) for payload in self._payloads]
        found = {}
        for level in levels:
            seconds = size_bytes = 0.0
            for piece, whole in pieces:
                if self._stop():
                    return None
                started_s = self._clock.monotonic_s()
                encoded = piece.encode(level)
                scale = whole / piece.size
                seconds += (self._clock.monotonic_s() - started_s) * scale
                size_bytes += encoded * scale
            found[level] = seconds, size_bytes
        return found


def _picture(data: bytes, *, archived: bool) -> Picture:
    from PIL import Image

    image = Image.open(io.BytesIO(data))
    image.load()
    return Picture(image, archived)


def _every(starts: range, every: int, first: int) -> range:
    """Pick every ``every``-th of them, at least one."""
    return starts[first % min(every, len(starts)) :: every]


def _deflated_bytes(data: bytes, level: int) -> int:
    packer = zlib.compressobj(level, zlib.DEFLATED, RAW_DEFLATE)
    return len(packer.compress(data)) + len(packer.flush())
