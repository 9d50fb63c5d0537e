"""Makes the calls of engines: in turn on the device, measured, halved when memory runs out."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from backend.batching.device_turn import DeviceTurn
from backend.batching.engine_traits import gains_from_batches, needs_device_alone
from backend.batching.halving import Outcome, run_items
from backend.engines.engine import AnyEngine
from backend.gpu.batch_history import BatchKey
from backend.gpu.cache_clearing import Occasion
from backend.gpu_optimizer import GPUOptimizer
from backend.progress import StageProgress, heeding
from backend.units import Clock, SystemClock

# The history asks for a picture's size; the size class of the work stands in its place.
NO_SIZE = (1, 1)


@dataclass(frozen=True)
class CallStats:
    """What the calls of engines that take batches came to.

    Parameters
    ----------
    calls : int
        Of any size, those that failed too.
    items : int
        Tasks that were done or failed.
    failed : int
        Tasks that failed.
    elapsed_s : float
        Time in the calls.
    sizes : dict
        Tasks that were done, by the size of the call that did them.
    """

    calls: int
    items: int
    failed: int
    elapsed_s: float
    sizes: dict[int, int]


class EngineCalls:
    """Calls of one process.

    Parameters
    ----------
    turn : DeviceTurn
        Kept by everybody who computes on the device.
    optimizer : GPUOptimizer or None
        Remembers what batches took; None remembers nothing.
    """

    def __init__(
        self, turn: DeviceTurn, optimizer: GPUOptimizer | None = None, clock: Clock | None = None
    ) -> None:
        self._turn = turn
        self._optimizer = optimizer
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._calls = self._items = self._failed = 0
        self._elapsed_s = 0.0
        self._sizes: Counter[int] = Counter()

    def __call__(
        self,
        engine: AnyEngine,
        begin: Callable[[], Sequence[Any]],
        progress: StageProgress,
        *,
        size_class: str = "",
    ) -> list[Outcome]:
        """Have tasks done in one call, or in as few as it takes.

        Parameters
        ----------
        begin : callable
            Called when the device is free and the work begins; returns the tasks.
        size_class : str
            Names work that takes like memory.

        Raises
        ------
        DeviceLost, JobCanceled
            See ``backend.batching.halving.run_items``.
        """
        waits = needs_device_alone(engine)
        turn = self._turn.taken(progress.check_canceled) if waits else nullcontext()
        with turn, heeding(progress):
            tasks = begin()
            if not gains_from_batches(engine):
                return run_items(lambda one: engine.run(one, progress), tasks, self._free)
            key = self.key(engine, progress.stage, size_class)
            started_s = self._clock.monotonic_s()
            outcomes = run_items(
                lambda some: self._measured(key, engine, some, progress), tasks, self._free
            )
            self._count(outcomes, self._clock.monotonic_s() - started_s)
            return outcomes

    def key(self, engine: AnyEngine, stage: str, size_class: str) -> BatchKey | None:
        """Name what decides the memory of a call beside its size; None without an optimizer."""
        if self._optimizer is None:
            return None
        key = self._optimizer.batch_key(stage, NO_SIZE)
        return replace(key, model=engine.name, bucket=size_class)

    def stats(self) -> CallStats:
        """Sum up the calls so far."""
        with self._lock:
            return CallStats(
                self._calls, self._items, self._failed, self._elapsed_s, dict(self._sizes)
            )

    def _measured(
        self,
        key: BatchKey | None,
        engine: AnyEngine,
        tasks: Sequence[Any],
        progress: StageProgress,
    ) -> Sequence[Any]:
        with self._lock:
            self._calls += 1
        if self._optimizer is None or key is None:
            return engine.run(tasks, progress)
        with self._optimizer.measure_batch(key, len(tasks)):
            return engine.run(tasks, progress)

    def _count(self, outcomes: Sequence[Outcome], elapsed_s: float) -> None:
        good = [outcome for outcome in outcomes if outcome.error is None]
        with self._lock:
            self._items += len(outcomes)
            self._failed += len(outcomes) - len(good)
            self._elapsed_s += elapsed_s
            self._sizes.update(outcome.batch_size for outcome in good)

    def _free(self) -> None:
        if self._optimizer is not None:
            self._optimizer.clear_cache_if_worth_it(Occasion.OUT_OF_MEMORY)
