"""The public face of ``backend.batching``: how large a batch may be, and running it.

A worker makes the jobs of one claim members of a batch; their pipelines call engines through
``run_engine`` and never learn of each other. Without a worker, tasks can be collected and run by
hand::

    processor = get_batch_processor()
    for task in tasks:
        processor.add_job(engine, task)
    while processor.pending_jobs:
        outcomes = processor.process_batch()
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from backend.batching.device_turn import DeviceTurn
from backend.batching.engine_calls import EngineCalls
from backend.batching.engine_traits import BatchedStage, gains_from_batches, needs_device_alone
from backend.batching.halving import Outcome
from backend.batching.meeting import Meeting
from backend.batching.member import BatchMember, run_engine
from backend.engines.engine import AnyEngine
from backend.errors import InvalidParameter
from backend.gpu.peak_model import knee, out_of_memory_cap
from backend.gpu_optimizer import GPUOptimizer, get_gpu_optimizer
from backend.progress import SilentSink, StageProgress
from backend.settings import Settings
from backend.units import Clock, SystemClock

BY_HAND = "shape_generation"

log = logging.getLogger(__name__)

__all__ = [
    "BatchMember",
    "BatchProcessor",
    "BatchedStage",
    "DeviceTurn",
    "Outcome",
    "PendingJob",
    "gains_from_batches",
    "get_batch_processor",
    "needs_device_alone",
    "run_engine",
]


@dataclass(frozen=True, eq=False)
class PendingJob:
    """A task that was added by hand."""

    engine: AnyEngine
    task: Any
    size_class: str


class BatchProcessor:
    """Batches of one process.

    Parameters
    ----------
    optimizer : GPUOptimizer, optional
        Says what is safe and remembers what batches took; that of the process unless given.
    max_batch : int
        Most items of a call.

    Attributes
    ----------
    pending_jobs : list of PendingJob
        What was added by hand and not yet run, oldest first.
    turn : DeviceTurn
        One call at a time on the device.
    """

    def __init__(
        self,
        optimizer: GPUOptimizer | None = None,
        *,
        max_batch: int = Settings.max_batch,
        clock: Clock | None = None,
    ) -> None:
        if max_batch < 1:
            raise InvalidParameter(f"A batch of {max_batch} items cannot be run.")
        self.pending_jobs: list[PendingJob] = []
        self.turn = DeviceTurn()
        self.max_batch = max_batch
        self._optimizer = optimizer or get_gpu_optimizer()
        self._clock = clock or SystemClock()
        self._calls = EngineCalls(self.turn, self._optimizer, self._clock)
        self._lock = threading.Lock()
        self._batches = 0

    # Jobs of a worker

    def members(
        self, size: int, stages: Sequence[str], size_class: str = "", *, is_open: bool = False
    ) -> list[BatchMember]:
        """Make a batch of jobs that run in threads of their own.

        Parameters
        ----------
        size : int
            Number of jobs; each must use its member, or leave it.
        stages : sequence of str
            Stages of their pipeline in order.
        size_class : str
            Names work that takes like memory.
        is_open : bool
            Whether others are going to join, by ``BatchMember.late``.
        """
        meeting = Meeting(size, partial(self._make_call, size_class), is_open=is_open)
        with self._lock:
            self._batches += 1
        return [
            BatchMember(meeting, self._calls, stages, size_class, self._clock) for _ in range(size)
        ]

    def safe_size(
        self,
        stages: Sequence[BatchedStage],
        waiting: int,
        *,
        size_class: str = "",
        max_batch: int | None = None,
    ) -> int:
        """Return how many jobs of one kind should be run as a batch, at least 1.

        Parameters
        ----------
        stages : sequence of BatchedStage
            The calls of engines in this work; 1 unless one of them gains from batches.
        waiting : int
            Jobs of this kind that wait.
        max_batch : int, optional
            Most items; that of this processor unless given.
        """
        most = min(waiting, self.max_batch if max_batch is None else max_batch)
        gaining = [one for one in stages if gains_from_batches(one.engine)]
        if most <= 1 or not gaining:
            return 1
        limits = [self._safe_for(one, waiting, size_class) for one in gaining]
        return max(1, min(most, *(limit for limit in limits if limit is not None), most))

    # Tasks by hand

    def add_job(self, engine: AnyEngine, task: Any, size_class: str = "") -> int:
        """Add a task; returns how many wait."""
        with self._lock:
            self.pending_jobs.append(PendingJob(engine, task, size_class))
            return len(self.pending_jobs)

    def process_batch(self, progress: StageProgress | None = None) -> list[Outcome]:
        """Run the oldest task and those like it, as many as are safe; [] when none waits.

        Returns
        -------
        list of Outcome
            One per task, in the order they were added; a task that failed took no other with it.

        Raises
        ------
        DeviceLost
            No task can run in this process any more.
        """
        progress = progress or StageProgress(SilentSink(), BY_HAND)
        batch = self._next_batch(progress.stage)
        if not batch:
            return []
        first = batch[0]
        tasks = [job.task for job in batch]
        return self._calls(first.engine, lambda: tasks, progress, size_class=first.size_class)

    def get_batch_stats(self) -> dict[str, Any]:
        """Tell what the calls of engines that take batches came to.

        Returns
        -------
        dict
            ``batches``, ``pending``, ``calls``, ``items``, ``failed``, ``elapsed_s``, ``sizes``
            (items by the size of their call), ``average_size`` and ``items_per_s`` (None before
            the first).
        """
        stats = self._calls.stats()
        done = sum(stats.sizes.values())
        # A call of b items is counted b times among the items.
        calls = sum(count / size for size, count in stats.sizes.items())
        return asdict(stats) | {
            "batches": self._batches,
            "pending": len(self.pending_jobs),
            "average_size": done / calls if calls else None,
            "items_per_s": done / stats.elapsed_s if stats.elapsed_s else None,
        }

    def _next_batch(self, stage: str) -> list[PendingJob]:
        with self._lock:
            if not self.pending_jobs:
                return []
            first = self.pending_jobs[0]
            like = [job for job in self.pending_jobs if _are_like(job, first)]
            stages = [BatchedStage(stage, first.engine)]
            size = self.safe_size(stages, len(like), size_class=first.size_class)
            batch = like[:size]
            self.pending_jobs = [job for job in self.pending_jobs if job not in batch]
            self._batches += 1
            return batch

    def _safe_for(self, one: BatchedStage, waiting: int, size_class: str) -> int | None:
        """Return the most items for an engine; None where nothing is known to limit it."""
        key = self._calls.key(one.engine, one.stage, size_class)
        if self._optimizer.get_current_memory_profile().total_mb is not None:
            advice = self._optimizer.calculate_optimal_batch_size(
                current_queue_size=waiting, stage=one.stage, key=key
            )
            return advice.recommended_size
        if key is None:
            return None
        # Without a card no memory is known to be scarce: sizes that failed, or gain no time.
        try:
            samples = self._optimizer.history.samples(key)
        except (sqlite3.Error, OSError) as error:
            log.warning("what batches took cannot be read: %s", error)
            return None
        limits = (knee(samples), out_of_memory_cap(samples, free_mb=0.0))
        return min((limit for limit in limits if limit is not None), default=None)

    def _make_call(
        self,
        size_class: str,
        engine: AnyEngine,
        progress: StageProgress,
        begin: Callable[[], Sequence[Any]],
    ) -> list[Outcome]:
        return self._calls(engine, begin, progress, size_class=size_class)


def _are_like(job: PendingJob, first: PendingJob) -> bool:
    return job.engine is first.engine and job.size_class == first.size_class


_lock = threading.Lock()
_processor: BatchProcessor | None = None


def get_batch_processor() -> BatchProcessor:
    """Return the processor of this process."""
    global _processor
    with _lock:
        if _processor is None:
            _processor = BatchProcessor()
        return _processor
