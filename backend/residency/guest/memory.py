"""How much memory this process holds, in host memory and on the device."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path


def resident_bytes() -> int:
    """Return the host memory of this process (RSS)."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak * (1 if sys.platform == "darwin" else 1024)


def figures() -> dict[str, int]:
    """Return what is held now, in bytes; the driver's own share of the device is not in it."""
    torch = sys.modules.get("torch")
    reserved = allocated = 0
    if torch is not None and torch.cuda.is_initialized():
        reserved, allocated = torch.cuda.memory_reserved(), torch.cuda.memory_allocated()
    return {"rss": resident_bytes(), "reserved": reserved, "allocated": allocated}


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, in torch's many ways of saying so."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and "out of memory" in words_of(error).lower()


def words_of(error: BaseException) -> str:
    """Return what an error says; some cannot say it."""
    try:
        return str(error)
    except Exception as fault:  # noqa: BLE001  whatever a program wrote there
        return f"its message cannot be read ({type(fault).__name__})"
