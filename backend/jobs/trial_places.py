"""The places that jobs take in trials: which value each runs with, and what became of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, select
from sqlalchemy.exc import OperationalError

from backend.catalog import PipelineName
from backend.errors import OutOfMemory
from backend.jobs.job_engines import engines_of_job
from backend.jobs.lazy_tables import LazyTables
from backend.jobs.schema import JobRow
from backend.jobs.setting_overrides import SettingOverrides
from backend.jobs.states import TERMINAL, JobState
from backend.jobs.trial_faults import may_blame
from backend.jobs.trial_rows import TrialRows, is_in, of_kind
from backend.jobs.tuning_table import EXPERIMENTS, StoredExperiment, read_experiment
from backend.profiling.experiment import Arm, Experiment, ExperimentState, Value
from backend.runtime_settings import RUNTIME_SETTINGS
from backend.units import Clock

# A job waits for the lock twice at most, before and after its work.
JOB_PATIENCE_MS = 250
# A worker reports just after its job has ended; what has not come by then will not come.
REPORT_GRACE = timedelta(seconds=60)

Report = Callable[[Experiment], Experiment]
Values = Mapping[str, Value]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StartingJob:
    """A job that asks for its values.

    Parameters
    ----------
    by_hand : mapping
        Values that a person set elsewhere; they outrank those of the store.
    may_try : bool
        Whether it may have a place; not for one that runs beside others, which would disturb it.
    """

    id: str
    pipeline: str
    shape_key: str
    by_hand: Values = field(default_factory=dict)
    may_try: bool = True


@dataclass(frozen=True)
class _Plan:
    """What a job is to run with, and what has to be written for that.

    Parameters
    ----------
    values : mapping
        Without the value on trial.
    row, test : Row and Experiment, or None
        The trial as it is to be from now on; None where nothing changes.
    has_expired : bool
        Whether the change is that it has expired.
    tried : mapping
        The value on trial, if the job is to run with it.
    tried_already : mapping
        The same as long as nothing has been written.
    loses_place : bool
        Whether an earlier attempt of the job has a place that this one cannot fill.
    """

    values: Values
    row: Row[Any] | None = None
    test: Experiment | None = None
    has_expired: bool = False
    tried: Values = field(default_factory=dict)
    tried_already: Values = field(default_factory=dict)
    loses_place: bool = False


class TrialPlaces:
    """Hands places out and takes reports.

    It reads first and takes the write lock only where something changes, with little patience: a
    job that cannot have a place at once runs without one.

    Parameters
    ----------
    started : mapping
        The values the server was started with.
    """

    def __init__(
        self,
        tables: LazyTables,
        overrides: SettingOverrides,
        trials: TrialRows,
        started: Values,
        clock: Clock,
    ) -> None:
        self._tables = tables
        self._overrides = overrides
        self._trials = trials
        self._started = started
        self._clock = clock

    def values_for(self, job: StartingJob) -> dict[str, Value]:
        """Return what a job runs with; gives it a place in a trial of its kind.

        Raises
        ------
        OperationalError
            The place of an earlier attempt cannot be freed; what the job takes must not count.
        """
        plan = self._tables.read(lambda c: self._plan(c, job), _Plan(job.by_hand))
        if plan.test is None:
            return {**plan.values, **plan.tried}
        try:
            return self._tables.write(lambda c: self._carry_out(c, job), JOB_PATIENCE_MS)
        except OperationalError as error:
            if plan.loses_place:
                raise
            log.info("job %s takes no part in a trial: %s", job.id, error.orig)
            return {**plan.values, **plan.tried_already}

    def report(self, job_id: str, report: Report) -> StoredExperiment | None:
        """Note what became of a job; returns its trial if that has decided it.

        Raises
        ------
        OperationalError
            Somebody else writes at the moment.
        """
        on_trial = select(EXPERIMENTS).where(is_in(ExperimentState.APPLIED))
        none: Sequence[Row[Any]] = ()
        rows = self._tables.read(lambda c: c.execute(on_trial).all(), none)
        held = next((row.id for row in rows if _waits_for(row, job_id)), None)
        if held is None:
            return None
        again = on_trial.where(EXPERIMENTS.c.id == held).with_for_update()

        def change(connection: Connection) -> StoredExperiment | None:
            row = connection.execute(again).first()
            if row is None:
                return None
            stored = self._trials.read(row)
            if stored.has_expired:
                return self._trials.keep_expired(connection, row)
            test = report(stored.experiment)
            return self._trials.write(connection, row, test, told=True)

        stored = self._tables.write(change, JOB_PATIENCE_MS)
        return stored if stored and stored.decided_at else None

    def _carry_out(self, connection: Connection, job: StartingJob) -> dict[str, Value]:
        plan = self._plan(connection, job, locked=True)
        if plan.row is not None and plan.has_expired:
            self._trials.keep_expired(connection, plan.row)
        elif plan.row is not None and plan.test is not None:
            self._trials.write(connection, plan.row, plan.test)
        return {**plan.values, **plan.tried}

    def _plan(self, connection: Connection, job: StartingJob, *, locked: bool = False) -> _Plan:
        values = self._tuned(connection, job) | dict(job.by_hand)
        if not job.may_try:
            return _Plan(values)
        # Trials of one kind of work go one after the other: two at a time would be credited
        # with each other's effect.
        query = of_kind(job.pipeline, job.shape_key).where(is_in(ExperimentState.APPLIED))
        query = query.order_by(EXPERIMENTS.c.id).limit(1)
        row = connection.execute(query.with_for_update() if locked else query).first()
        if row is None:
            return _Plan(values)
        stored = self._trials.read(row)
        if stored.has_expired:
            ended = stored.experiment
            return _Plan(
                values, row, ended, has_expired=True, loses_place=_holds_place(ended, job.id)
            )
        return self._place(connection, row, stored.experiment, job.id, values)

    def _tuned(self, connection: Connection, job: StartingJob) -> dict[str, Value]:
        """Return the values that hold for the pipeline that is measured, with its engines."""
        pipeline = _measured_pipeline(connection, job)
        alike = job.shape_key if pipeline == job.pipeline else None
        engines = engines_of_job(connection, job.id, pipeline, alike)
        return self._overrides.values(connection, pipeline, engines=engines)

    def _place(
        self, connection: Connection, row: Row[Any], test: Experiment, job_id: str, values: Values
    ) -> _Plan:
        setting = test.setting
        if values.get(setting, self._started.get(setting)) != test.old:
            # The old arm is no longer what jobs run with. A GPU setting may be merely unknown
            # at the moment; else somebody has changed it, which ends the trial.
            is_over = setting in values or not RUNTIME_SETTINGS[setting].needs_gpu
            now = test.dismiss() if is_over else test.canceled(job_id)
            return _Plan(
                values, row, now if now != test else None, loses_place=_holds_place(test, job_id)
            )
        now = self._without_ended(connection, test, job_id).assign(job_id)
        return _Plan(
            values,
            row,
            now if now != test else None,
            tried=_tried_by(now, job_id),
            tried_already=_tried_by(test, job_id),
        )

    def _without_ended(self, connection: Connection, test: Experiment, job_id: str) -> Experiment:
        """Free the places of jobs that ended without a report, because their worker died."""
        waited_for = [
            slot.job_id for slot in test.slots
            if slot.job_id not in (None, job_id) and slot.elapsed_s is None
        ]  # fmt: skip
        if not waited_for:
            return test
        columns = (JobRow.id, JobRow.status, JobRow.error, JobRow.finished_at)
        rows = connection.execute(select(*columns).where(JobRow.id.in_(waited_for)))
        found = {row.id: row for row in rows}
        for waited in waited_for:
            test = self._after(test, str(waited), found.get(waited))
        return test

    def _after(self, test: Experiment, job_id: str, job: Row[Any] | None) -> Experiment:
        if job is None:
            return test.canceled(job_id)
        late = job.finished_at and job.finished_at < self._clock.now() - REPORT_GRACE
        if JobState(job.status) not in TERMINAL or not late:
            return test
        code = (job.error or {}).get("code")
        if job.status != JobState.FAILED or not may_blame(code):
            return test.canceled(job_id)
        return test.failed(job_id, out_of_memory=code == OutOfMemory.code)


def _measured_pipeline(connection: Connection, job: StartingJob) -> str:
    """Name the pipeline whose values a job runs with: auto-tune's are those of what it tunes."""
    if job.pipeline != PipelineName.TUNE:
        return job.pipeline
    params = connection.scalar(select(JobRow.params).where(JobRow.id == job.id))
    return str((params or {}).get("target") or job.pipeline)


def _tried_by(test: Experiment, job_id: str) -> dict[str, Value]:
    return {test.setting: test.new} if test.arm_for(job_id) is Arm.NEW else {}


def _waits_for(row: Row[Any], job_id: str) -> bool:
    return _holds_place(read_experiment(row).experiment, job_id)


def _holds_place(test: Experiment, job_id: str) -> bool:
    return any(slot.job_id == job_id and slot.elapsed_s is None for slot in test.slots)
