"""Boxes of parts that somebody sent along, as the intake wrote them down."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.errors import FieldProblem, InvalidParameter

_ADVICE = "Send one box for each part number, in rising order of the numbers."


def read_boxes(path: Path) -> NDArray[np.float32]:
    """Read the boxes that were judged when they came.

    Returns
    -------
    (p, 2, 3) float32
        Lowest and highest corners.

    Raises
    ------
    InvalidParameter
        The file holds something else.
    """
    try:
        boxes = np.array(json.loads(path.read_text()), dtype=np.float32)
    except (ValueError, TypeError) as error:
        raise _refused("The boxes cannot be read.") from error
    if boxes.ndim != 3 or boxes.shape[1:] != (2, 3) or not np.isfinite(boxes).all():
        raise _refused("The boxes are no list of pairs of corners.")
    return boxes


def check_one_for_each(boxes: NDArray[np.float32], parts: int) -> None:
    """Check that there is a box for each part that was given; raises InvalidParameter."""
    if len(boxes) != parts:
        raise _refused(f"There are {len(boxes)} boxes and {parts} parts.")


def _refused(detail: str) -> InvalidParameter:
    return InvalidParameter(detail, advice=_ADVICE, fields=(FieldProblem("/boxes", detail),))
