"""Plans a worker's next claim: whose turn, how many jobs, and whether others may overlap."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from backend.catalog import PipelineName
from backend.errors import MeshkilnError
from backend.jobs.claims import Choice
from backend.jobs.core_count import core_count
from backend.jobs.deep_profiles import DeepState
from backend.jobs.job_engines import engines_of_job
from backend.jobs.service import JobService
from backend.jobs.turns import Turns
from backend.jobs.waiting_work import WaitingKind, params_of, waiting_kinds
from backend.profiling.experiment import ExperimentState
from backend.runtime_settings import SettingName, started_with

if TYPE_CHECKING:
    from backend.batch_processor import BatchedStage, BatchProcessor

LINGER_S = 0.25
LEAST_FREE_SHARE = 0.1

log = logging.getLogger(__name__)

# Names the stages of some work whose engines take batches or the device, by its parameters.
FindStages = Callable[[str, dict[str, object]], Sequence["BatchedStage"]]


@dataclass(frozen=True)
class ClaimPlan:
    """What to claim next.

    Parameters
    ----------
    kind : WaitingKind
        The jobs.
    size : int
        At most so many of them.
    may_overlap : bool
        Whether another claim may be held at the same time.
    """

    kind: WaitingKind
    size: int
    may_overlap: bool

    @property
    def choice(self) -> Choice:
        """The same for ``Claims.claim``."""
        return Choice(self.kind.batch_key, self.kind.is_retry)


class ClaimPlanner:
    """Plans the claims of one worker.

    Parameters
    ----------
    service : JobService
        What waits, and what else goes on.
    queue : str
        Which jobs.
    find_stages : callable
        Names the stages of some work whose engines take batches or the device.
    processor : callable
        Returns what knows how large a batch may be; asked only where one can be formed.
    turns : Turns, optional
        Whose turn it is.
    pause : callable, optional
        Waits for some seconds.
    """

    def __init__(
        self,
        service: JobService,
        queue: str,
        find_stages: FindStages,
        processor: Callable[[], BatchProcessor],
        turns: Turns | None = None,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        self._service = service
        self._queue = queue
        self._find_stages = find_stages
        self._processor = processor
        self.turns = turns or Turns()
        self._pause = pause or threading.Event().wait
        self._may_overlap = service.settings.overlap and core_count() > 1

    def plan(self, *, beside_another: bool = False) -> ClaimPlan | None:
        """Plan the next claim; None when nothing waits that may run now.

        Parameters
        ----------
        beside_another : bool
            Whether a claim is held already.
        """
        kind = self._next()
        if kind is None:
            return None
        plan = self._plan_for(kind, beside_another=beside_another)
        if beside_another:
            return plan if plan.may_overlap and has_free_memory() else None
        return plan

    def plan_late(self, sizes: Mapping[str, int]) -> ClaimPlan | None:
        """Plan what joins a claim that runs; None unless it is its kind's turn and there is room.

        Parameters
        ----------
        sizes : mapping
            The jobs of each claim that others may join, by batch key.
        """
        kind = self._next()
        if kind is None or kind.is_retry or kind.batch_key not in sizes:
            return None
        stages = self._stages(kind)
        if not stages or self._must_run_alone(kind) or not has_free_memory():
            return None
        there, allowed = sizes[kind.batch_key], self._max_batch(kind)
        # Nobody waits for more: those that come in later may join as well.
        room = self._size(kind, stages, allowed, waiting=there + kind.count) - there
        return ClaimPlan(kind, room, self._may_overlap) if room > 0 else None

    def _next(self) -> WaitingKind | None:
        kinds = waiting_kinds(self._service.store.engine, self._queue)
        return self.turns.choose(kinds, self._service.clock.now())

    def _plan_for(self, kind: WaitingKind, *, beside_another: bool) -> ClaimPlan:
        alone = ClaimPlan(kind, 1, may_overlap=False)
        stages = () if kind.is_retry else self._stages(kind)
        if not stages or self._must_run_alone(kind):
            return alone
        if beside_another and not self._may_overlap:
            return alone
        # While the device is busy even a single job loses nothing by waiting for company.
        size, kind = self._gather(kind, stages, least=1 if beside_another else 2)
        return ClaimPlan(kind, size, self._may_overlap)

    def _stages(self, kind: WaitingKind) -> Sequence[BatchedStage]:
        params = params_of(self._service.store.engine, kind.oldest_id)
        try:
            return self._find_stages(kind.pipeline, params)
        except MeshkilnError:
            return ()
        except Exception:  # the job itself will tell why, if it is claimed
            log.exception("the engines of job %s cannot be told", kind.oldest_id)
            return ()

    def _must_run_alone(self, kind: WaitingKind) -> bool:
        """Whether something is being measured that other jobs would disturb."""
        return (
            kind.pipeline == PipelineName.TUNE
            or self._service.deep_profiles.document()["state"] == DeepState.ARMED
            or any(
                trial.experiment.state is ExperimentState.APPLIED and not trial.has_expired
                for trial in self._service.tuning.experiments()
            )
        )

    def _gather(
        self, kind: WaitingKind, stages: Sequence[BatchedStage], least: int
    ) -> tuple[int, WaitingKind]:
        """Wait a moment for more jobs of a kind, if they come in just now.

        Parameters
        ----------
        least : int
            Jobs that must wait before it waits for more.
        """
        allowed = self._max_batch(kind)
        most = self._size(kind, stages, allowed, waiting=allowed)
        clock = self._service.clock
        until_s = clock.monotonic_s() + LINGER_S
        while least <= kind.count < most:
            age_s = (clock.now() - kind.newest_at).total_seconds()
            left_s = min(LINGER_S - age_s, until_s - clock.monotonic_s())
            if left_s <= 0:
                break
            self._pause(left_s)
            same = (
                one
                for one in waiting_kinds(self._service.store.engine, self._queue)
                if (one.batch_key, one.is_retry) == (kind.batch_key, False)
            )
            kind = next(same, kind)
        return self._size(kind, stages, allowed, waiting=kind.count), kind

    def _size(
        self, kind: WaitingKind, stages: Sequence[BatchedStage], allowed: int, waiting: int
    ) -> int:
        if min(allowed, waiting) <= 1:
            return 1
        return self._processor().safe_size(
            stages, waiting, size_class=size_class(kind), max_batch=allowed
        )

    def _max_batch(self, kind: WaitingKind) -> int:
        """Return the value in force for the engines that these jobs will run with."""
        with self._service.store.engine.connect() as connection:
            engines = engines_of_job(connection, kind.oldest_id, kind.pipeline, shape_key=None)
        tuned = self._service.tuning.values(kind.pipeline, engines=engines)
        values = started_with(self._service.settings) | tuned
        return int(values[SettingName.MAX_BATCH] or 1)


def size_class(kind: WaitingKind) -> str:
    """Name work that takes like memory: the same parameters but for the seed."""
    return kind.batch_key


def has_free_memory() -> bool:
    """Whether the host has memory left for the work of another claim."""
    memory = psutil.virtual_memory()
    return bool(memory.available >= LEAST_FREE_SHARE * memory.total)
