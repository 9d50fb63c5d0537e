"""How torch's GPU memory is doing when a pipeline ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COUNTERS = {"num_alloc_retries": "alloc_retries", "num_ooms": "out_of_memory"}
LEVELS = {
    "allocated_bytes.all.current": "allocated_bytes",
    "reserved_bytes.all.current": "reserved_bytes",
    "inactive_split_bytes.all.current": "inactive_split_bytes",
}


def counters(cuda: Any) -> dict[str, int | None]:
    """Read the counters that only grow; {} when torch does not use a GPU."""
    stats: Mapping[str, int] = cuda.memory_stats() if cuda else {}
    return {name: stats.get(key) for key, name in COUNTERS.items()} if stats else {}


def allocator_health(cuda: Any, before: Mapping[str, int | None]) -> dict[str, int | None] | None:
    """Read the allocator of the current device.

    Parameters
    ----------
    cuda : module or None
        ``torch.cuda`` if this process uses it.
    before : mapping
        ``counters`` when the pipeline began; {} if no GPU was in use then.

    Returns
    -------
    dict or None
        ``alloc_retries`` and ``out_of_memory`` since then, for the whole process;
        ``allocated_bytes``, ``reserved_bytes`` and ``inactive_split_bytes`` (free, but in blocks
        that are split) now. None without a GPU in use.
    """
    stats: Mapping[str, int] = cuda.memory_stats() if cuda else {}
    if not stats:
        return None
    now: dict[str, int | None] = {name: stats.get(key) for key, name in LEVELS.items()}
    for key, name in COUNTERS.items():
        count = stats.get(key)
        now[name] = None if count is None else count - (before.get(name) or 0)
    return now
