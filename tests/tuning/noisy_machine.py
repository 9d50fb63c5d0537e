"""A machine whose runs take what a surface says, give or take some noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import numpy as np

from backend.tuning.run_figures import RunFigures

OUTPUTS = {"faces": "100", "model.glb": "abc"}


class MachineClock:
    """Moves only while something runs."""

    def __init__(self) -> None:
        self.at_s = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at_s, UTC)

    def monotonic_s(self) -> float:
        return self.at_s


class NoisyMachine:
    """Runs take ``cost(values)`` seconds times log-normal noise of the given variation."""

    def __init__(self, cost: Callable[[Mapping], float], variation: float = 0.0, seed: int = 0):
        self.clock = MachineClock()
        self.ran: list[dict] = []
        self._cost = cost
        self._sigma = math.sqrt(math.log(1 + variation**2))
        self._rng = np.random.default_rng(seed)

    def __call__(self, values, jobs=1) -> RunFigures:
        assert jobs == 1, "nothing here changes a batch"
        elapsed_s = self._cost(values) * float(self._rng.lognormal(0, self._sigma))
        self.clock.at_s += elapsed_s
        self.ran.append(dict(values))
        return RunFigures(elapsed_s, None, OUTPUTS)
