"""Which settings jobs run with: those changed while the server runs, and those on trial."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from backend.errors import (
    AdviceOutdated,
    ExperimentRunning,
    NotFound,
    OutOfMemory,
)
from backend.jobs.proposal import Proposal
from backend.jobs.schema import JobRow
from backend.jobs.setting_overrides import SettingOverrides
from backend.jobs.states import TERMINAL, JobState
from backend.jobs.tuning_table import (
    EXPERIMENTS,
    StoredExperiment,
    create_missing,
    experiment_values,
    read_experiment,
)
from backend.profiling.advice.advice import Advice
from backend.profiling.experiment import Arm, Experiment, ExperimentState, Value
from backend.profiling.run_table import naive_utc
from backend.runtime_settings import RUNTIME_SETTINGS, known
from backend.units import Clock, SystemClock, new_id

LISTED = 100
SEEDS = 2**31
# A worker reports just after its job has ended; what has not come by then will not come.
REPORT_GRACE = timedelta(seconds=60)

Report = Callable[[Experiment], Experiment]


class TuningStore:
    """Values that replace those the server was started with, and the trials they come from.

    Every change is one transaction that holds the write lock, so that two workers never take
    the same place in a trial.

    Parameters
    ----------
    engine : Engine
        The job database; the tables are created at the first use.
    clock : Clock, optional
        Source of time.
    started : mapping, optional
        The values the server was started with. A value set later holds only as long as the one
        it replaced stays the same: whoever starts the server with another has the last word.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock | None = None,
        started: Mapping[str, Value] | None = None,
    ) -> None:
        self._engine = engine
        self._writer = engine.execution_options(writes=True)
        self._clock = clock or SystemClock()
        self._started = dict(started or {})
        self._overrides = SettingOverrides(self._started, self._clock)
        self._ready = False
        self._lock = threading.Lock()

    def values(self) -> dict[str, Value]:
        """Return the values that replace those of the start, for all jobs."""
        self._prepare()
        with self._engine.connect() as connection:
            return self._overrides.values(connection)

    def set(self, name: str, value: Value) -> None:
        """Put a value in force for all jobs and end the trial of that setting, if any.

        Raises
        ------
        InvalidParameter
            There is no such setting, or it cannot have that value.
        """
        known(name).check(value)
        self._prepare()
        with self._writer.begin() as connection:
            self._end_trial(connection, name)
            self._overrides.put(connection, name, value, None)

    def reset(self, name: str) -> None:
        """Return to the value of the start and end the trial of that setting, if any."""
        self._prepare()
        with self._writer.begin() as connection:
            self._end_trial(connection, name)
            self._overrides.remove(connection, name)

    def apply(
        self, advice: Advice | Proposal, *, pipeline: str, shape_key: str, old: Value
    ) -> StoredExperiment:
        """Begin a trial: the next jobs of this kind run in turn with the old and the new value.

        Parameters
        ----------
        pipeline, shape_key : str
            The kind of work whose jobs take part.
        old : str, int, float, bool or None
            The value in force now.

        Raises
        ------
        InvalidParameter
            The setting cannot be changed while the server runs, or not to this value.
        AdviceOutdated
            The new value is in force already.
        ExperimentRunning
            The setting is on trial already, on this or on other work.
        """
        proposal = advice if isinstance(advice, Proposal) else Proposal.of(advice)
        known(proposal.setting).check(proposal.new)
        if old == proposal.new:
            raise AdviceOutdated(f"{proposal.setting} is {old} already.")
        self._prepare()
        try:
            with self._writer.begin() as connection:
                return self._insert(
                    connection, proposal, pipeline, shape_key, _proposed(proposal, old).apply()
                )
        except IntegrityError as error:
            raise ExperimentRunning(
                f"Another trial of {proposal.setting} has not been decided."
            ) from error

    def dismiss(
        self, advice: Advice | Proposal, *, pipeline: str, shape_key: str, old: Value = None
    ) -> StoredExperiment:
        """Put advice away until its evidence changes by a fifth; a trial of it ends."""
        proposal = advice if isinstance(advice, Proposal) else Proposal.of(advice)
        self._prepare()
        with self._writer.begin() as connection:
            alike = _of_kind(pipeline, shape_key).where(
                EXPERIMENTS.c.advice_id == proposal.advice_id, _is(ExperimentState.APPLIED)
            )
            row = connection.execute(alike.with_for_update()).first()
            if row is not None:
                return self._write(connection, row, read_experiment(row).experiment.dismiss())
            test = _proposed(proposal, old).dismiss()
            return self._insert(connection, proposal, pipeline, shape_key, test)

    def revert(self, identifier: str) -> StoredExperiment:
        """Take a value back by hand, whether it is still on trial or was confirmed.

        Parameters
        ----------
        identifier : str
            That of a trial, or of advice: then its newest trial.

        Raises
        ------
        NotFound
            Nothing of this name was ever applied.
        AdviceOutdated
            The value is not in force, or a later change has replaced it.
        """
        self._prepare()
        with self._writer.begin() as connection:
            named = or_(EXPERIMENTS.c.id == identifier, EXPERIMENTS.c.advice_id == identifier)
            applied = EXPERIMENTS.c.applied_at.is_not(None)
            query = select(EXPERIMENTS).where(named, applied).order_by(EXPERIMENTS.c.id.desc())
            row = connection.execute(query.limit(1).with_for_update()).first()
            if row is None:
                raise NotFound("This advice was never applied.")
            if row.state == ExperimentState.CONFIRMED:
                self._overrides.take_back(connection, read_experiment(row))
                return self._write(connection, row, _withdrawn(read_experiment(row).experiment))
            if row.state != ExperimentState.APPLIED:
                raise AdviceOutdated("The old value is in force already.")
            return self._write(connection, row, read_experiment(row).experiment.dismiss())

    def tests(self, pipeline: str, shape_key: str) -> dict[str, Experiment]:
        """Return the newest test of each piece of advice on one kind of work."""
        self._prepare()
        query = _of_kind(pipeline, shape_key).order_by(EXPERIMENTS.c.id)
        with self._engine.connect() as connection:
            found = [read_experiment(row).experiment for row in connection.execute(query)]
        return {test.advice_id: test for test in found}

    def experiments(self, limit: int = LISTED) -> list[StoredExperiment]:
        """List the trials, newest first; advice that was put away untried is not among them."""
        self._prepare()
        query = select(EXPERIMENTS).where(EXPERIMENTS.c.applied_at.is_not(None))
        query = query.order_by(EXPERIMENTS.c.id.desc()).limit(limit)
        with self._engine.connect() as connection:
            return [read_experiment(row) for row in connection.execute(query)]

    def values_for(
        self,
        job_id: str,
        pipeline: str,
        shape_key: str,
        by_hand: Mapping[str, Value] | None = None,
    ) -> dict[str, Value]:
        """Return what a starting job runs with; gives it a place in a trial of its kind.

        Parameters
        ----------
        by_hand : mapping, optional
            Values that a person set elsewhere; they outrank those of this store.

        Returns
        -------
        dict
            Without the settings that stay as the server was started.
        """
        self._prepare()
        given = dict(by_hand or {})
        trials = _of_kind(pipeline, shape_key).where(_is(ExperimentState.APPLIED))
        # Trials of one kind of work go one after the other: two at a time would be credited
        # with each other's effect.
        first = trials.order_by(EXPERIMENTS.c.id).limit(1)
        with self._engine.connect() as connection:
            values = self._overrides.values(connection)
            if connection.execute(first).first() is None:
                return values | given
        with self._writer.begin() as connection:
            values = self._overrides.values(connection) | given
            row = connection.execute(first.with_for_update()).first()
            return values if row is None else values | self._arm(connection, row, job_id, values)

    def measured(self, job_id: str, elapsed_s: float) -> StoredExperiment | None:
        """Note what a job took; returns its trial if that has decided it."""
        return self._report(job_id, lambda test: test.measured(job_id, elapsed_s))

    def failed(self, job_id: str, *, out_of_memory: bool) -> StoredExperiment | None:
        """Note that a job failed; returns its trial if that has decided it."""
        return self._report(job_id, lambda test: test.failed(job_id, out_of_memory=out_of_memory))

    def canceled(self, job_id: str) -> StoredExperiment | None:
        """Free the place of a job that tells nothing, such as a canceled one."""
        return self._report(job_id, lambda test: test.canceled(job_id))

    def _report(self, job_id: str, report: Report) -> StoredExperiment | None:
        self._prepare()
        query = select(EXPERIMENTS).where(_is(ExperimentState.APPLIED))
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        held = next((row.id for row in rows if _holds(row, job_id)), None)
        if held is None:
            return None
        with self._writer.begin() as connection:
            again = query.where(EXPERIMENTS.c.id == held).with_for_update()
            row = connection.execute(again).first()
            if row is None:
                return None
            stored = self._write(connection, row, report(read_experiment(row).experiment))
        return stored if stored.decided_at else None

    def _arm(
        self, connection: Connection, row: Row[Any], job_id: str, values: Mapping[str, Value]
    ) -> dict[str, Value]:
        """Give the job a place in the trial; returns the value on trial if it is to run with it."""
        test = read_experiment(row).experiment
        setting = test.setting
        if values.get(setting, self._started.get(setting)) != test.old:
            # The old arm is no longer what jobs run with. A GPU setting may be merely unknown
            # at the moment; else somebody has changed it, which ends the trial.
            if setting in values or not RUNTIME_SETTINGS[setting].needs_gpu:
                self._write(connection, row, test.dismiss())
            return {}
        now = self._without_ended(connection, test, job_id).assign(job_id)
        if now != test:
            self._write(connection, row, now)
        return {setting: test.new} if now.arm_for(job_id) is Arm.NEW else {}

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
        if job.status != JobState.FAILED:
            return test.canceled(job_id)
        out_of_memory = (job.error or {}).get("code") == OutOfMemory.code
        return test.failed(job_id, out_of_memory=out_of_memory)

    def _insert(
        self,
        connection: Connection,
        proposal: Proposal,
        pipeline: str,
        shape_key: str,
        test: Experiment,
    ) -> StoredExperiment:
        now = self._clock.now()
        applied = test.state is ExperimentState.APPLIED
        values = experiment_values(test) | {
            "id": new_id(now),
            "pipeline": pipeline,
            "shape_key": shape_key,
            "title": proposal.title,
            "applied_at": naive_utc(now) if applied else None,
            "decided_at": None if applied else naive_utc(now),
        }
        connection.execute(insert(EXPERIMENTS).values(values))
        return _stored(connection, str(values["id"]))

    def _write(self, connection: Connection, row: Row[Any], test: Experiment) -> StoredExperiment:
        """Keep a trial's new state; a confirmed value comes into force with it."""
        now = self._clock.now()
        values = experiment_values(test)
        if test.state != row.state:
            values["decided_at"] = naive_utc(now)
            if test.state is ExperimentState.CONFIRMED:
                self._overrides.put(connection, test.setting, test.new, row.id)
        connection.execute(update(EXPERIMENTS).where(EXPERIMENTS.c.id == row.id).values(values))
        return _stored(connection, row.id)

    def _end_trial(self, connection: Connection, setting: str) -> None:
        query = select(EXPERIMENTS).where(EXPERIMENTS.c.on_trial == setting).with_for_update()
        for row in connection.execute(query).all():
            self._write(connection, row, read_experiment(row).experiment.dismiss())

    def _prepare(self) -> None:
        with self._lock:
            if not self._ready:
                create_missing(self._writer)
                self._ready = True


def _proposed(proposal: Proposal, old: Value) -> Experiment:
    return Experiment(
        proposal.advice_id,
        proposal.setting,
        old,
        proposal.new,
        proposal.strength,
        secrets.randbelow(SEEDS),
    )


def _withdrawn(test: Experiment) -> Experiment:
    """Put confirmed advice away by hand."""
    document = test.to_document() | {"state": ExperimentState.DISMISSED.value}
    return Experiment.from_document(document)


def _of_kind(pipeline: str, shape_key: str) -> Select[Any]:
    alike = (EXPERIMENTS.c.pipeline == pipeline, EXPERIMENTS.c.shape_key == shape_key)
    return select(EXPERIMENTS).where(*alike)


def _is(state: ExperimentState) -> Any:
    return EXPERIMENTS.c.state == state.value


def _holds(row: Row[Any], job_id: str) -> bool:
    return any(slot.job_id == job_id for slot in read_experiment(row).experiment.slots)


def _stored(connection: Connection, experiment_id: str) -> StoredExperiment:
    query = select(EXPERIMENTS).where(EXPERIMENTS.c.id == experiment_id)
    return read_experiment(connection.execute(query).one())
