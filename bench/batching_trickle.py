"""Jobs that trickle in while the device is busy, for ``bench.batching``.

They come one by one, further apart than a worker waits for company. Either only those that wait
when a claim is made belong to it, or whoever comes before its call begins joins it.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backend.batch_processor import run_engine
from backend.catalog import CutOutParams, StageName
from backend.engines.engine import Needs
from backend.jobs.claim_plan import ClaimPlan
from backend.pipelines.pipeline import PipelineOutcome, PipelineRequest
from backend.progress import ProgressSink, StageProgress
from bench.batching_jobs import KIND, JobRound, Plans

IDLE_S = 0.01
PREPARE_S, CALL_S, MORE_S = 0.2, 1.5, 0.15
LATE, NOT_LATE = "late ones join", "none joins late"


@dataclass(frozen=True)
class TrickleRun:
    """What a trickle came to.

    Parameters
    ----------
    jobs_per_s : float
        From the first arrival to the last end.
    usual_wait_s : float
        Median from a job's arrival to its end.
    sizes : dict
        Calls by their size.
    """

    jobs_per_s: float
    usual_wait_s: float
    sizes: dict[int, int]


def trickle_run(
    jobs: JobRound, count: int, interval_s: float, most: int, *, joins_late: bool
) -> TrickleRun:
    """Run jobs that come one by one.

    Parameters
    ----------
    interval_s : float
        Between two of them.
    most : int
        Jobs of a claim.
    joins_late : bool
        Whether a claim takes in who comes before its call begins.
    """
    plans = _Trickle(count, interval_s, most, joins_late=joins_late)
    before = jobs.processor.get_batch_stats()["sizes"]
    loop = jobs.loop(plans)
    while len(jobs.ended_s) < count:
        loop.drain()
        time.sleep(IDLE_S)
    after = jobs.processor.get_batch_stats()["sizes"]
    waits = [jobs.ended_s[number] - plans.comes_s(number) for number in range(count)]
    elapsed_s = max(jobs.ended_s.values()) - plans.comes_s(0)
    return TrickleRun(count / elapsed_s, statistics.median(waits), _calls(before, after))


def _calls(before: Mapping[int, int], after: Mapping[int, int]) -> dict[int, int]:
    """Count calls by size, from the items by size of call."""
    items = Counter(after)
    items.subtract(before)
    return {size: items[size] // size for size in sorted(items) if items[size]}


class _Trickle(Plans):
    """Jobs come one by one."""

    def __init__(self, jobs: int, interval_s: float, most: int, *, joins_late: bool) -> None:
        super().__init__(jobs)
        self._interval_s = interval_s
        self._most = most
        self._joins_late = joins_late
        self._started_s = time.perf_counter()

    def comes_s(self, number: int) -> float:
        """When a job arrives, on the clock of ``time.perf_counter``."""
        return self._started_s + number * self._interval_s

    def plan(self, *, beside_another: bool = False) -> ClaimPlan | None:
        """Plan the next claim: all that wait, as many as are allowed."""
        return self._plan(self._most)

    def plan_late(self, sizes: Mapping[str, int]) -> ClaimPlan | None:
        """Plan what joins a claim that runs."""
        return self._plan(self._most - sizes[KIND.batch_key]) if self._joins_late else None

    def _plan(self, most: int) -> ClaimPlan | None:
        now_s = time.perf_counter()
        size = min(most, sum(self.comes_s(number) <= now_s for number in self._left))
        return ClaimPlan(KIND, size, may_overlap=True) if size > 0 else None


class StandInDevice:
    """An engine that only waits, as if a device computed; several tasks take little longer."""

    name = "stand-in"
    title = "Stand-in for a device (benchmarks only)"
    needs = Needs()
    batches = True

    def available(self) -> None:
        """Need nothing."""
        return

    def batch_key(self, _params: CutOutParams) -> str:
        """Batch all."""
        return ""

    def cost_key(self, _params: CutOutParams) -> str:
        """All cost the same."""
        return ""

    def run(self, batch: Sequence[Any], _progress: StageProgress) -> list[Any]:
        """Wait, and return the tasks."""
        threading.Event().wait(CALL_S + MORE_S * (len(batch) - 1))
        return list(batch)


_stand_in = StandInDevice()


def run_stand_in(name: str, request: PipelineRequest, sink: ProgressSink) -> PipelineOutcome:
    """Run a job of some preparation and one call of the stand-in, whatever it is named."""
    threading.Event().wait(PREPARE_S)
    progress = StageProgress(sink, StageName.SHAPE_GENERATION)
    run_engine(_stand_in, request.params, progress)
    return PipelineOutcome([], {})
