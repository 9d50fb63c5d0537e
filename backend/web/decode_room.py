"""Bounds how many pictures are decoded at a time, and how large they are together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class DecodeRoom:
    """Lets pictures in while there is room for their pixels.

    Small ones are worked on side by side, as many as there are cores; of the largest only a few.
    Nobody is overtaken, so a large one waits no longer than for those that came before.

    Parameters
    ----------
    pictures : int
        How many at a time.
    pixels : int
        How many together; a single picture with more has the whole room to itself.
    """

    def __init__(self, pictures: int, pixels: int) -> None:
        self._pixels = pixels
        self._free_pictures = pictures
        self._free_pixels = pixels
        self._entrance = threading.Lock()
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Wait for room and keep it for the length of the block."""
        wanted = min(pixels, self._pixels)
        with self._entrance, self._changed:
            self._changed.wait_for(lambda: self._free_pictures and self._free_pixels >= wanted)
            self._take(1, wanted)
        try:
            yield
        finally:
            with self._changed:
                self._take(-1, -wanted)
                self._changed.notify()

    def _take(self, pictures: int, pixels: int) -> None:
        self._free_pictures -= pictures
        self._free_pixels -= pixels
