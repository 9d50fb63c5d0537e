"""Which settings jobs run with: those changed while the server runs, and those on trial."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping
from typing import Any

from sqlalchemy import Connection, Engine, Select, or_, select
from sqlalchemy.exc import IntegrityError

from backend.errors import AdviceOutdated, ExperimentRunning, NotFound
from backend.jobs.job_engines import Engines, engines_of_last_run
from backend.jobs.lazy_tables import LazyTables
from backend.jobs.local_devices import LocalDevices
from backend.jobs.proposal import Proposal
from backend.jobs.schema import BUSY_TIMEOUT_MS
from backend.jobs.setting_overrides import Scope, SettingOverrides
from backend.jobs.trial_places import StartingJob, TrialPlaces
from backend.jobs.trial_rows import SILENT_FOR, TrialRows, is_in, of_kind, on_trial_of
from backend.jobs.tuning_table import EXPERIMENTS, METADATA, StoredExperiment, read_experiment
from backend.profiling.advice.advice import Advice
from backend.profiling.experiment import Experiment, ExperimentState, Value
from backend.runtime_settings import known
from backend.units import Clock, SystemClock, iso

LISTED = 100
SEEDS = 2**31


class TuningStore:
    """Values that replace those the server was started with, and the trials they come from.

    Every change is one transaction that holds the write lock, so that two workers never take
    the same place in a trial. Reading takes no lock, and what a job does waits only a moment for
    it; what a person does waits as long as any other request.

    Parameters
    ----------
    engine : Engine
        The job database; the tables are created at the first change.
    clock : Clock, optional
        Source of time.
    started : mapping, optional
        The values the server was started with. A value set later holds only where the one it
        replaced is the same: whoever starts the server with another has the last word there.
    devices : callable, optional
        Names the devices of this machine; what auto-tune found holds only on its device.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock | None = None,
        started: Mapping[str, Value] | None = None,
        devices: Callable[[], Collection[str]] | None = None,
    ) -> None:
        clock = clock or SystemClock()
        self._started = dict(started or {})
        self._tables = LazyTables(engine, METADATA)
        self._overrides = SettingOverrides(self._started, clock, devices or LocalDevices())
        self._trials = TrialRows(self._overrides, clock)
        self._places = TrialPlaces(
            self._tables, self._overrides, self._trials, self._started, clock
        )

    def values(
        self,
        pipeline: str | None = None,
        device: str | None = None,
        engines: Engines | None = None,
    ) -> dict[str, Value]:
        """Return the values that replace those of the start.

        Parameters
        ----------
        pipeline : str, optional
            Whose jobs; by default of any, and where two differ, the newest.
        device : str, optional
            Where; by default on the devices of this machine.
        engines : mapping, optional
            With which engines, by role; by default those of the last run of the pipeline.
        """

        def ask(connection: Connection) -> dict[str, Value]:
            found = engines
            if found is None and pipeline is not None:
                found = engines_of_last_run(connection, pipeline)
            return self._overrides.values(connection, pipeline, device, found)

        return self._tables.read(ask, {})

    def set(self, name: str, value: Value) -> None:
        """Put a value in force for all jobs and end the trial of that setting, if any.

        Raises
        ------
        InvalidParameter
            There is no such setting, or it cannot have that value.
        """
        known(name).check(value)

        def change(connection: Connection) -> None:
            self._end_trial(connection, name)
            self._overrides.put(connection, name, value)

        self._tables.write(change)

    def reset(self, name: str) -> None:
        """Return to the value of the start and end the trial of that setting, if any."""

        def change(connection: Connection) -> None:
            self._end_trial(connection, name)
            self._overrides.remove(connection, name)

        self._tables.write(change)

    def adopt(
        self,
        values: Mapping[str, Value],
        scope: Scope,
        *,
        also: Callable[[Connection], None] = lambda _: None,
        patience_ms: int = BUSY_TIMEOUT_MS,
    ) -> None:
        """Put in force what was found for some work: all of it, or nothing.

        Parameters
        ----------
        also : callable
            Writes in the same transaction.
        patience_ms : int
            How long to wait for others who write.

        Raises
        ------
        InvalidParameter
            There is no such setting, or it cannot have that value.
        OperationalError
            Others wrote for longer.
        """
        for name, value in values.items():
            known(name).check(value)

        def change(connection: Connection) -> None:
            for name, value in values.items():
                self._end_trial(connection, name, scope.pipeline)
                self._overrides.put(connection, name, value, scope=scope)
            also(connection)

        self._tables.write(change, patience_ms)

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
            The setting is on trial already, on this or on other work, and jobs of it have
            reported in the last 14 days.
        """
        proposal = advice if isinstance(advice, Proposal) else Proposal.of(advice)
        known(proposal.setting).check(proposal.new)
        if old == proposal.new:
            raise AdviceOutdated(f"{proposal.setting} is {old} already.")
        test = _proposed(proposal, old).apply()

        def change(connection: Connection) -> StoredExperiment:
            self._refuse_second(connection, proposal.setting)
            return self._trials.insert(connection, proposal, pipeline, shape_key, test)

        try:
            return self._tables.write(change)
        except IntegrityError as error:
            raise ExperimentRunning(
                f"Another trial of {proposal.setting} has not been decided."
            ) from error

    def dismiss(
        self, advice: Advice | Proposal, *, pipeline: str, shape_key: str, old: Value = None
    ) -> StoredExperiment:
        """Put advice away until its evidence changes by a fifth; a trial of it ends."""
        proposal = advice if isinstance(advice, Proposal) else Proposal.of(advice)
        alike = of_kind(pipeline, shape_key).where(
            EXPERIMENTS.c.advice_id == proposal.advice_id, is_in(ExperimentState.APPLIED)
        )

        def change(connection: Connection) -> StoredExperiment:
            row = connection.execute(alike.with_for_update()).first()
            if row is not None:
                test = read_experiment(row).experiment.dismiss()
                return self._trials.write(connection, row, test)
            test = _proposed(proposal, old).dismiss()
            return self._trials.insert(connection, proposal, pipeline, shape_key, test)

        return self._tables.write(change)

    def revert(
        self, identifier: str, pipeline: str | None = None, shape_key: str | None = None
    ) -> StoredExperiment:
        """Take a value back by hand, whether it is still on trial or was confirmed.

        Parameters
        ----------
        identifier : str
            That of a trial, or of advice: then its newest trial.
        pipeline, shape_key : str, optional
            The kind of work; by default any.

        Raises
        ------
        NotFound
            Nothing of this name was ever applied to this work.
        AdviceOutdated
            The value is not in force, or a later change has replaced it.
        """
        named = or_(EXPERIMENTS.c.id == identifier, EXPERIMENTS.c.advice_id == identifier)
        query = select(EXPERIMENTS).where(named, EXPERIMENTS.c.applied_at.is_not(None))
        if pipeline is not None:
            query = query.where(EXPERIMENTS.c.pipeline == pipeline)
        if shape_key is not None:
            query = query.where(EXPERIMENTS.c.shape_key == shape_key)
        newest = query.order_by(EXPERIMENTS.c.id.desc()).limit(1).with_for_update()

        def change(connection: Connection) -> StoredExperiment:
            row = connection.execute(newest).first()
            if row is None:
                raise NotFound("This advice was never applied.")
            stored = read_experiment(row)
            if row.state == ExperimentState.CONFIRMED:
                self._overrides.take_back(connection, stored)
                return self._trials.write(connection, row, _withdrawn(stored.experiment))
            if row.state != ExperimentState.APPLIED:
                raise AdviceOutdated("The old value is in force already.")
            return self._trials.write(connection, row, stored.experiment.dismiss())

        return self._tables.write(change)

    def tests(self, pipeline: str, shape_key: str) -> dict[str, Experiment]:
        """Return the newest test of each piece of advice on one kind of work.

        A trial that expired has told nothing, so its advice is as if it had never been tried.
        """
        query = of_kind(pipeline, shape_key).order_by(EXPERIMENTS.c.id)
        found = self._listed(query)
        newest = {stored.experiment.advice_id: stored for stored in found}
        return {name: one.experiment for name, one in newest.items() if not one.has_expired}

    def experiments(self, limit: int = LISTED) -> list[StoredExperiment]:
        """List the trials, newest first; advice that was put away untried is not among them."""
        query = select(EXPERIMENTS).where(EXPERIMENTS.c.applied_at.is_not(None))
        query = query.order_by(EXPERIMENTS.c.id.desc()).limit(limit)
        return self._listed(query)

    def values_for(
        self,
        job_id: str,
        pipeline: str,
        shape_key: str,
        by_hand: Mapping[str, Value] | None = None,
        *,
        may_try: bool = True,
    ) -> dict[str, Value]:
        """Return what a starting job runs with; gives it a place in a trial of its kind.

        Parameters
        ----------
        by_hand : mapping, optional
            Values that a person set elsewhere; they outrank those of this store.
        may_try : bool
            Whether it may have a place; not for one that runs beside others.

        Returns
        -------
        dict
            Without the settings that stay as the server was started.
        """
        return self._places.values_for(
            StartingJob(job_id, pipeline, shape_key, dict(by_hand or {}), may_try)
        )

    def measured(self, job_id: str, elapsed_s: float) -> StoredExperiment | None:
        """Note what a job took; returns its trial if that has decided it."""
        return self._places.report(job_id, lambda test: test.measured(job_id, elapsed_s))

    def failed(self, job_id: str, *, out_of_memory: bool) -> StoredExperiment | None:
        """Note that a job failed; returns its trial if that has decided it."""
        return self._places.report(
            job_id, lambda test: test.failed(job_id, out_of_memory=out_of_memory)
        )

    def canceled(self, job_id: str) -> StoredExperiment | None:
        """Free the place of a job that tells nothing, such as a canceled one."""
        return self._places.report(job_id, lambda test: test.canceled(job_id))

    def _listed(self, query: Select[Any]) -> list[StoredExperiment]:
        none: list[StoredExperiment] = []
        return self._tables.read(lambda c: [self._trials.read(r) for r in c.execute(query)], none)

    def _refuse_second(self, connection: Connection, setting: str) -> None:
        row = connection.execute(on_trial_of(setting).with_for_update()).first()
        if row is None:
            return
        stored = self._trials.read(row)
        if not stored.has_expired:
            raise ExperimentRunning(
                _running_words(stored),
                advice="Wait until the trial has decided, or revert it first. It ends by itself "
                f"when no job has reported for {SILENT_FOR.days} days.",
            )
        self._trials.keep_expired(connection, row)

    def _end_trial(self, connection: Connection, setting: str, pipeline: str = "") -> None:
        """End the trial whose old value the change replaces: not one of a server started else."""
        for row in connection.execute(on_trial_of(setting).with_for_update()).all():
            test = read_experiment(row).experiment
            values = self._overrides.values(connection, row.pipeline)
            replaced = values.get(setting, self._started.get(setting))
            if pipeline in ("", row.pipeline) and replaced == test.old:
                self._trials.write(connection, row, test.dismiss())


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


def _running_words(stored: StoredExperiment) -> str:
    """Say which trial is in the way.

    The kind of work is named as the interface does, so that it can be found there.
    """
    found = stored.to_document()
    return (
        f"{found['setting']} is on trial already: “{found['title']}” on {found['pipeline']} "
        f"({found['shape_key']}), trial {found['id']}, begun {found['applied_at']}, last report "
        f"{iso(stored.heard_at)}, {found['pairs_done']} of {found['pairs']} pairs of jobs measured."
    )
