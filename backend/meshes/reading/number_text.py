"""Numbers written as text, read all at once."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from backend.errors import MeshCorrupt


def numbers_in(text: bytes, count: int, what: str) -> NDArray[np.float64]:
    """Read exactly ``count`` numbers that white space separates.

    Parameters
    ----------
    what : str
        What the numbers are, for the error.

    Raises
    ------
    MeshCorrupt
        There are more or fewer, or one is no number.
    """
    found = _numbers(text)
    if len(found) != count:
        raise MeshCorrupt(f"{what}: {count:,} numbers were expected, {len(found):,} can be read.")
    return found


def numbers_at_start(text: bytes, at_least: int, what: str) -> NDArray[np.float64]:
    """Read all numbers of a text, which must be at least so many; raises MeshCorrupt."""
    found = _numbers(text)
    if len(found) < at_least:
        raise MeshCorrupt(f"{what}: {at_least:,} numbers were expected, {len(found):,} are there.")
    return found


def _numbers(text: bytes) -> NDArray[np.float64]:
    """Read up to the first thing that is no number."""
    if not text.strip():
        return np.zeros(0)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", DeprecationWarning)  # it tells of what is no number
        try:
            found: NDArray[np.float64] = np.fromstring(text.decode("latin-1"), sep=" ")
        except ValueError:
            return np.zeros(0)
    return found
