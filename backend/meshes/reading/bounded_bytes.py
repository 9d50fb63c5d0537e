"""Arrays that lie in a file: looked at in place, never beyond its end."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from backend.errors import MeshCorrupt


def array_at(
    data: bytes | memoryview,
    dtype: DTypeLike,
    shape: tuple[int, ...],
    offset: int = 0,
    stride: int | None = None,
    *,
    what: str,
) -> NDArray[Any]:
    """Look at rows of numbers within bytes.

    Parameters
    ----------
    data : bytes
        What the numbers lie in.
    shape : tuple of int
        Rows, and what each row holds.
    offset : int
        Where the first row begins, in bytes.
    stride : int or None
        From one row to the next, in bytes; None when they follow each other.
    what : str
        What the numbers are, for the error.

    Returns
    -------
    array of ``shape``
        A view; it cannot be written to.

    Raises
    ------
    MeshCorrupt
        The bytes end before the numbers do.
    """
    kind = np.dtype(dtype)
    row_bytes = kind.itemsize * int(np.prod(shape[1:], dtype=object))
    step = stride or row_bytes
    needed = offset + (shape[0] - 1) * step + row_bytes if shape[0] else offset
    if min(shape) < 0 or offset < 0 or step < row_bytes or needed > len(data):
        raise MeshCorrupt(
            f"{what}: {shape[0]:,} entries need {needed:,} bytes, but only {len(data):,} are there."
        )
    inner = [kind.itemsize * int(np.prod(shape[axis + 1 :])) for axis in range(1, len(shape))]
    view: NDArray[Any] = np.ndarray(shape, kind, data, offset, (step, *inner))
    return view
