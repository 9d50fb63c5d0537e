"""Limits that the operating system puts on a process that reads what strangers send."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator

from backend.units import MB

NICENESS = 10
MAX_OUTPUT_BYTES = 4 << 30


def limit_this_process(memory_mb: int, cpu_s: float) -> None:
    """Limit memory, processor time and output of this process, for good; no core dumps.

    Parameters
    ----------
    memory_mb : int
        Address space; beyond it memory is refused, which Python tells as MemoryError.
    cpu_s : float
        Processor time; the process is killed at its end.
    """
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_AS, memory_mb * MB)
    _lower(resource.RLIMIT_CPU, max(1, round(cpu_s)))
    _lower(resource.RLIMIT_FSIZE, MAX_OUTPUT_BYTES)
    with contextlib.suppress(OSError):  # it may stand back as far as it goes already
        os.nice(NICENESS)


@contextlib.contextmanager
def no_files_opened() -> Iterator[None]:
    """Refuse to open any file for the length of the block; those that are open stay so.

    Whatever a file names, and whichever library might follow it: nothing beside it is read.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _lower(kind: int, wanted: int) -> None:
    """Set a limit, never above what the system has set."""
    _, hard = resource.getrlimit(kind)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(kind, (most, most))
