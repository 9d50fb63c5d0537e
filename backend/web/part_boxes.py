"""Boxes around parts that somebody drew or changed, sent along with a mesh."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from backend.catalog import MAX_PARTS
from backend.errors import FieldProblem, InvalidParameter

FILE_NAME = "boxes.json"
MAX_BYTES = 1_000_000
AXES = 3
# The corners of boxes.json are rounded to six digits.
TOLERANCE = 1e-4
_LARGEST = 1e30
_ADVICE = (
    "Send a list of [[x, y, z], [x, y, z]], the lowest and the highest corner of each part in the "
    "coordinates of the mesh, or the boxes.json of a job with this mesh."
)

Corner = list[float]
Box = list[Corner]


def normalised_boxes(data: bytes, bounds: Sequence[Sequence[float]]) -> bytes:
    """Read boxes and write them as they are kept: a JSON list of pairs of corners.

    Parameters
    ----------
    data : bytes
        JSON: a list of pairs of corners, or of objects with such a pair as ``box``.
    bounds : (2, 3) float
        Lowest and highest corner of the mesh.

    Raises
    ------
    InvalidParameter
        It is no such list, has no boxes or too many, or a box is turned inside out, is a single
        point or lies apart from the mesh.
    """
    given = _parsed(data)
    if not 1 <= len(given) <= MAX_PARTS:
        raise _refused(f"There are {len(given):,} boxes; 1 to {MAX_PARTS:,} are taken.")
    boxes = [_box(value, place) for place, value in enumerate(given)]
    for place, box in enumerate(boxes):
        _check_order(box, place)
        _check_place(box, bounds, place)
    return json.dumps(boxes).encode()


def _parsed(data: bytes) -> list[Any]:
    if len(data) > MAX_BYTES:
        raise _refused(f"The boxes have {len(data):,} bytes; {MAX_BYTES:,} at most are taken.")
    try:
        given = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _refused(f"The boxes are not valid JSON: {str(error)[:200]}") from error
    if not isinstance(given, list):
        raise _refused("The boxes are not a list.")
    return given


def _box(value: Any, place: int) -> Box:
    corners = value.get("box") if isinstance(value, dict) else value
    if not isinstance(corners, list) or len(corners) != 2:
        raise _refused(f"Box {place} is no pair of corners.", place)
    return [_corner(corner, place) for corner in corners]


def _corner(values: Any, place: int) -> Corner:
    if not isinstance(values, list) or len(values) != AXES:
        raise _refused(f"A corner of box {place} does not have three coordinates.", place)
    for value in values:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or abs(value) > _LARGEST or math.isnan(value):
            raise _refused(f"A coordinate of box {place} is not a finite number.", place)
    return [float(value) for value in values]


def _check_order(box: Box, place: int) -> None:
    """A part may be flat, and its box with it; a point holds no part."""
    sides = [high - low for low, high in zip(*box, strict=True)]
    if min(sides) < 0:
        raise _refused(f"The first corner of box {place} is not below its second one.", place)
    if max(sides) == 0:
        raise _refused(f"Box {place} is a single point.", place)


def _check_place(box: Box, bounds: Sequence[Sequence[float]], place: int) -> None:
    low, high = bounds
    slack = TOLERANCE * max(b - a for a, b in zip(low, high, strict=True))
    for axis in range(AXES):
        if box[0][axis] > high[axis] + slack or box[1][axis] < low[axis] - slack:
            raise _refused(f"Box {place} lies apart from the mesh.", place)


def _refused(detail: str, place: int | None = None) -> InvalidParameter:
    pointer = "/boxes" if place is None else f"/boxes/{place}"
    return InvalidParameter(detail, advice=_ADVICE, fields=(FieldProblem(pointer, detail),))
