"""Lines of numbers as OBJ files hold them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ROWS_AT_ONCE = 20_000


def obj_rows(form: str, values: NDArray[Any]) -> str:
    """Write a line for each row, many in one go: less than half the time of one by one.

    Parameters
    ----------
    form : str
        How a row is written, with one place for each of its numbers, as in ``"vt %.6f %.6f"``.
    values : (n, k)
        Not so many at once that their numbers as objects fill the memory.
    """
    line = form + "\n"
    pieces = (values[at : at + ROWS_AT_ONCE] for at in range(0, len(values), ROWS_AT_ONCE))
    return "".join(line * len(some) % tuple(some.reshape(-1).tolist()) for some in pieces)


def obj_corners(*numbers: NDArray[np.integer]) -> str:
    """Write triangles whose corners name a place each in one or more lists.

    Parameters
    ----------
    numbers : (n, 3) int
        Counted from 0; the place in each list of what a corner has.
    """
    corner = "/".join(["%d"] * len(numbers))
    rows = np.stack(numbers, axis=-1).reshape(-1, 3 * len(numbers)) + 1
    return obj_rows(f"f {corner} {corner} {corner}", rows)
