"""How many processor cores there are for this process."""

from __future__ import annotations

import os


def core_count() -> int:
    """Count the processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
