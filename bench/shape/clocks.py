"""Times a call by two clocks. Imports torch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Clocked:
    """One call.

    Parameters
    ----------
    wall_s : float
        What else runs on the machine counts.
    core_s : float
        Seconds of cores, summed over all threads.
    """

    wall_s: float
    core_s: float
    result: Tensor


def clocked(call: Callable[[], Tensor]) -> Clocked:
    """Run a call once."""
    wall_s, core_s = time.perf_counter(), time.process_time()
    result = call()
    return Clocked(time.perf_counter() - wall_s, time.process_time() - core_s, result)
