"""The settings a worker's jobs run with; whatever goes wrong with them fails no job."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import redis

from backend.errors import InvalidParameter, MeshkilnError, OutOfMemory
from backend.jobs.claims import ClaimedJob
from backend.jobs.gpu_settings import RULE_NAMES, forget_settings, kept_settings
from backend.jobs.service import JobService
from backend.jobs.states import JobState
from backend.jobs.trial_faults import may_blame
from backend.jobs.tuning_store import TuningStore
from backend.jobs.tuning_table import StoredExperiment
from backend.profiling.experiment import ExperimentState, Value
from backend.runtime_settings import RUNTIME_SETTINGS, in_force, known, started_with

_SETTING_NAMES = {rule: setting for setting, rule in RULE_NAMES.items()}

log = logging.getLogger(__name__)

Values = Mapping[str, Value]


class LiveTuning:
    """Hands each job its values and reports what became of it.

    Three places hold values, and the later one wins: those the server was started with, those of
    the tuning store (set for all jobs, or confirmed by a trial), and, for the residency of
    models, those that a person set on the GPU page, which lie in Redis. A confirmed trial drops
    the latter for its setting, so the newest decision is always the one in force. Only the value
    on trial goes before all, for the one job that tries it.

    Parameters
    ----------
    started : mapping
        The values the server was started with.
    shape_key_of : callable
        Names the size class of a job's work, see ``run_recording.shape_key``.
    by_hand : callable
        Returns what a person set on the GPU page, by the names of settings.
    follow : callable
        Carries residency values to the models of this process.
    forget : callable
        Drops what a person set for one setting.
    """

    def __init__(
        self,
        tuning: TuningStore,
        started: Values,
        shape_key_of: Callable[[ClaimedJob], str],
        *,
        by_hand: Callable[[], Values] = dict,
        follow: Callable[[Values], None] | None = None,
        forget: Callable[[str], None] | None = None,
    ) -> None:
        self._tuning = tuning
        self._started = dict(started)
        self._shape_key_of = shape_key_of
        self._by_hand = by_hand
        self._follow = follow
        self._forget = forget
        self._values: dict[str, Value] = self._started
        self._carried: frozenset[str] = frozenset()
        self._without_values: str | None = None
        self._has_complained = False

    @property
    def values(self) -> dict[str, Value]:
        """The values of the job at hand, or of the last one."""
        return dict(self._values)

    def start(self) -> None:
        """Follow the store from the start of this process on, before any job."""
        try:
            by_hand = dict(self._by_hand())
            self._put(by_hand, self._tuning.values() | by_hand)
        except Exception as error:  # noqa: BLE001  jobs matter more than their tuning
            self._complain("the stored settings are not in force", error)

    @contextmanager
    def in_force(self, job: ClaimedJob, *, may_try: bool = True) -> Iterator[None]:
        """Run the block with the values of a job, which gets its place in a trial here.

        Parameters
        ----------
        may_try : bool
            False for a job that runs beside others: it gets no place.
        """
        self._begin(job, may_try=may_try)
        usable = {name: value for name, value in self._values.items() if _is_usable(name, value)}
        with in_force(usable):
            yield

    def ended(
        self,
        job: ClaimedJob,
        state: JobState | None,
        error: MeshkilnError | None = None,
        work_s: float | None = None,
    ) -> None:
        """Report how a job ended.

        Parameters
        ----------
        state : JobState or None
            None when the claim was lost: the job runs again, and keeps its place.
        error : MeshkilnError, optional
            Why it failed.
        work_s : float, optional
            What it took, without its wait and without the loading of models.
        """
        if state is None:
            return
        try:
            decided = self._report(job.id, state, error, work_s)
            if decided is not None:
                self._after(decided)
            self._has_complained = False
        except Exception as problem:  # noqa: BLE001  the job has ended well or badly by itself
            self._complain(f"the end of job {job.id} was not reported to its trial", problem)

    def _begin(self, job: ClaimedJob, *, may_try: bool) -> None:
        by_hand: dict[str, Value] = {}
        self._without_values = None
        try:
            by_hand = dict(self._by_hand())
            shape_key = self._shape_key_of(job)
            tuned = self._tuning.values_for(
                job.id, job.pipeline, shape_key, by_hand, may_try=may_try
            )
            self._put(by_hand, tuned)
        except Exception as error:  # noqa: BLE001  jobs matter more than their tuning
            self._values = self._started | by_hand
            self._without_values = job.id
            self._complain(f"job {job.id} runs with the settings of the start", error)

    def _put(self, by_hand: dict[str, Value], tuned: dict[str, Value]) -> None:
        self._values = self._started | by_hand | tuned
        # Residency follows the GPU page by itself; here goes only what this store has changed,
        # and once more after that, to bring the value before it back.
        changed = {name for name in tuned if _is_residency(name) and name not in by_hand}
        on_trial = {name for name in by_hand if self._values[name] != by_hand[name]}
        names = frozenset(changed | on_trial)
        moved = {name: self._values[name] for name in names | self._carried}
        if moved and self._follow is not None:
            self._follow(moved)
        self._carried = names

    def _report(
        self, job_id: str, state: JobState, error: MeshkilnError | None, work_s: float | None
    ) -> StoredExperiment | None:
        # An earlier attempt may hold a place whose value this one did not run with.
        if job_id == self._without_values:
            return self._tuning.canceled(job_id)
        if state is JobState.SUCCEEDED and work_s:
            return self._tuning.measured(job_id, work_s)
        if state is JobState.FAILED and error is not None and may_blame(error.code):
            is_memory = isinstance(error, OutOfMemory)
            return self._tuning.failed(job_id, out_of_memory=is_memory)
        return self._tuning.canceled(job_id)

    def _after(self, decided: StoredExperiment) -> None:
        test = decided.experiment
        log.info("the trial of %s=%s is decided: %s", test.setting, test.new, test.state.value)
        confirmed = test.state is ExperimentState.CONFIRMED
        if confirmed and self._forget is not None and _is_residency(test.setting):
            self._forget(test.setting)

    def _complain(self, what: str, error: Exception) -> None:
        if not self._has_complained:
            log.warning("%s", what, exc_info=error)
        self._has_complained = True


def values_by_hand(client: redis.Redis) -> dict[str, Value]:
    """Return what a person set on the GPU page, by the names of settings."""
    kept = kept_settings(client)
    return {_SETTING_NAMES.get(name, name): value for name, value in kept.items()}


def forget_by_hand(client: redis.Redis, setting: str) -> None:
    """Drop what a person set on the GPU page for one setting; raises RedisError."""
    forget_settings(client, [setting])


def values_in_force(service: JobService, pipeline: str | None = None) -> dict[str, Value]:
    """Return what a job of a pipeline runs with now, unless it takes part in a trial."""
    by_hand = values_by_hand(service.looks.client)
    return started_with(service.settings) | service.tuning.values(pipeline) | by_hand


def _is_residency(name: str) -> bool:
    return name in RUNTIME_SETTINGS and RUNTIME_SETTINGS[name].needs_gpu


def _is_usable(name: str, value: Value) -> bool:
    try:
        known(name).check(value)
    except InvalidParameter:  # the GPU page allows longer times; pipelines read none of them
        return False
    return True
