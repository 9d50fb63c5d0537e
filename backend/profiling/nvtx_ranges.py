"""Stages as NVTX ranges, so that Nsight shows them beside what the GPU does."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

from backend.profiling.torch_in_use import cuda_in_use

# The first is set by every tool that injects NVTX, the second by ``nsys profile``.
TOOL_VARIABLES = ("NVTX_INJECTION64_PATH", "NSYS_PROFILING_SESSION_ID")
SWITCH = "MESHKILN_NVTX"
_ON = frozenset({"1", "true", "yes", "on"})

CloseRange = Callable[[], None]
OpenRange = Callable[[str], CloseRange | None]

log = logging.getLogger(__name__)


def nvtx_ranges(env: Mapping[str, str] = os.environ) -> OpenRange | None:
    """Return what opens a range, or None while no tool would see it.

    Parameters
    ----------
    env : mapping
        ``MESHKILN_NVTX=1`` stands for a tool that does not announce itself.
    """
    attached = any(env.get(name) for name in TOOL_VARIABLES)
    return NvtxRanges() if attached or env.get(SWITCH, "").lower() in _ON else None


class NvtxRanges:
    """Pushes and pops ranges through ``torch.cuda.nvtx`` once torch uses a GPU.

    Parameters
    ----------
    find_cuda : callable
        Returns ``torch.cuda`` or None.
    """

    def __init__(self, find_cuda: Callable[[], Any] = cuda_in_use) -> None:
        self._find_cuda = find_cuda
        self._broken = False

    def __call__(self, name: str) -> CloseRange | None:
        """Open a range; returns what closes it, or None if none was opened."""
        cuda = None if self._broken else self._find_cuda()
        if cuda is None:
            return None
        try:
            cuda.nvtx.range_push(name)
        except (RuntimeError, AttributeError):  # a build of torch without NVTX
            self._broken = True
            log.warning("this torch has no NVTX, stages are not marked", exc_info=True)
            return None
        thread = threading.get_ident()

        def close() -> None:
            # Ranges are kept per thread: a pop in another one would close what is not ours.
            if threading.get_ident() == thread:
                cuda.nvtx.range_pop()

        return close
