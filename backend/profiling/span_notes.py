"""Adds to what the innermost open stage tells of itself, from any of its threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from backend.profiling.recorder import innermost_span

_lock = threading.Lock()


def note(update: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
    """Change the attributes of the innermost stage that is open here; without one do nothing.

    Parameters
    ----------
    update : callable
        Takes the attributes so far and returns those to add or replace. No other note is taken
        meanwhile.
    """
    span = innermost_span()
    if span is None:
        return
    with _lock:
        noted = span.attributes or {}
        # The dict may be one that the caller gives to every run of the stage.
        span.attributes = {**noted, **update(noted)}
