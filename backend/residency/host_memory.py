"""How much host memory this process may take, and how much of it may be page-locked."""

from __future__ import annotations

import platform
from pathlib import Path

import psutil

from backend.units import MB

CGROUP = Path("/sys/fs/cgroup")
LIMITS = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)
PIN_SHARE, PIN_SHARE_WSL = 0.5, 0.4
PIN_SPARE_BYTES = 4 * 1024 * MB


def host_limit_bytes(cgroup: Path = CGROUP) -> int:
    """Return the smaller of the machine's memory and the container's limit."""
    limits = [_read(cgroup / limit) for limit, _ in LIMITS]
    return min([psutil.virtual_memory().total, *(value for value in limits if value)])


def free_host_bytes(cgroup: Path = CGROUP) -> int:
    """Return what may still be taken: free on the machine, and within the container's limit."""
    free = [psutil.virtual_memory().available]
    for limit_file, used_file in LIMITS:
        limit, used = _read(cgroup / limit_file), _read(cgroup / used_file)
        if limit and used is not None:
            free.append(max(0, limit - used))
    return min(free)


def default_pin_budget_bytes(limit_bytes: int, *, wsl: bool) -> int:
    """Return how much host memory may be page-locked: half, less under WSL, never the last 4 GB.

    >>> [default_pin_budget_bytes(gb * 1024**3, wsl=False) // 1024**3 for gb in (2, 6, 64)]
    [0, 2, 32]
    """
    share = PIN_SHARE_WSL if wsl else PIN_SHARE
    return max(0, min(int(share * limit_bytes), limit_bytes - PIN_SPARE_BYTES))


def is_wsl() -> bool:
    """Whether this Linux runs inside Windows, where page-locking has tight limits."""
    return "microsoft" in platform.release().lower()


def _read(path: Path) -> int | None:
    """Read a cgroup figure; None when absent or unlimited."""
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
