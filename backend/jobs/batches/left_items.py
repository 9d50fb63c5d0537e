"""What is said of failed items that a retry could not take."""

from __future__ import annotations

import re

_NOTE = re.compile(r"(\d{1,6}) failed items? (?:stays as it is|stay as they are): ")


def left_note(count: int) -> str:
    """Say how many failed items stay.

    >>> left_note(1)
    '1 failed item stays as it is: no picture, or no room to wait'
    """
    words = "failed item stays as it is" if count == 1 else "failed items stay as they are"
    return f"{count} {words}: no picture, or no room to wait"


def left_count(note: str) -> int | None:
    """Read the number back; None for another note.

    >>> left_count(left_note(12)), left_count("broker-unavailable")
    (12, None)
    """
    found = _NOTE.match(note)
    return int(found[1]) if found else None
