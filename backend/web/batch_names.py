"""What the items of a batch are called: unique, and fit to be shown."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from backend.errors import FieldProblem, InvalidParameter
from backend.jobs.batches.tables import MAX_CUSTOM_ID
from backend.web.batch_sources import SentItem
from backend.web.uploads import clean_text

SHOWN = MAX_CUSTOM_ID - 20  # leaves room for a number


def custom_ids(items: Sequence[SentItem]) -> list[str]:
    """Name the items.

    Returns
    -------
    list of str
        What was sent; else the file name, with a number where it comes twice.

    Raises
    ------
    InvalidParameter
        A name was sent twice, or is none.
    """
    taken: set[str] = set()
    numbers: dict[str, int] = {}
    for position, item in enumerate(items):
        if item.custom_id is not None:
            taken.add(_sent(item.custom_id, position, taken))
    return [
        _free(clean_text(item.default_id, SHOWN) or f"item-{position + 1}", taken, numbers)
        if item.custom_id is None
        else str(item.custom_id)
        for position, item in enumerate(items)
    ]


def _sent(custom_id: object, position: int, taken: set[str]) -> str:
    wrong = None
    if not isinstance(custom_id, str) or not 0 < len(custom_id) <= MAX_CUSTOM_ID:
        wrong = f"must be text of 1 to {MAX_CUSTOM_ID} characters"
    elif any(unicodedata.category(char)[0] == "C" for char in custom_id):
        wrong = "must be text that can be shown"
    elif custom_id in taken:
        wrong = f"{custom_id!r} comes twice"
    if wrong:
        problem = FieldProblem(f"/items/{position}/custom_id", wrong)
        raise InvalidParameter(f"custom_id: {wrong}", fields=(problem,))
    return str(custom_id)


def _free(name: str, taken: set[str], numbers: dict[str, int]) -> str:
    """Take a name, or the next one with a number before its ending."""
    found = name
    stem, dot, ending = name.rpartition(".")
    while found in taken:
        numbers[name] = number = numbers.get(name, 1) + 1
        found = f"{stem} ({number}).{ending}" if dot and stem else f"{name} ({number})"
    taken.add(found)
    return found
