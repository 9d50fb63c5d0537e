"""Trials as rows: how they begin, move on, and end when nobody tells anything any more."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select, update

from backend.jobs.proposal import Proposal
from backend.jobs.setting_overrides import SettingOverrides
from backend.jobs.tuning_table import (
    EXPERIMENTS,
    StoredExperiment,
    experiment_values,
    read_experiment,
)
from backend.profiling.experiment import Experiment, ExperimentState
from backend.profiling.run_table import naive_utc
from backend.units import Clock, iso, new_id

# A kind of work that nobody runs any more must not keep its setting from all others.
SILENT_FOR = timedelta(days=14)


class TrialRows:
    """The rows of ``experiments``, inside transactions of ``TuningStore``.

    Parameters
    ----------
    overrides : SettingOverrides
        Where confirmed values go.
    clock : Clock
        Source of time.
    """

    def __init__(self, overrides: SettingOverrides, clock: Clock) -> None:
        self._overrides = overrides
        self._clock = clock

    def insert(
        self,
        connection: Connection,
        proposal: Proposal,
        pipeline: str,
        shape_key: str,
        test: Experiment,
    ) -> StoredExperiment:
        """Add a trial, or advice that is put away untried."""
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

    def write(
        self, connection: Connection, row: Row[Any], test: Experiment, *, told: bool = False
    ) -> StoredExperiment:
        """Keep a trial's new state; a confirmed value comes into force with it.

        Parameters
        ----------
        told : bool
            Whether it is new because a job has told something.
        """
        now = self._clock.now()
        result = row.result or {}
        kept = {name: result[name] for name in ("reported_at", "expired") if name in result}
        values = experiment_values(test, {**kept, "reported_at": iso(now)} if told else kept)
        if test.state != row.state:
            values["decided_at"] = naive_utc(now)
            if test.state is ExperimentState.CONFIRMED:
                self._overrides.put(connection, test.setting, test.new, row.id)
        connection.execute(update(EXPERIMENTS).where(EXPERIMENTS.c.id == row.id).values(values))
        return _stored(connection, row.id)

    def read(self, row: Row[Any]) -> StoredExperiment:
        """Read a row; a trial that has expired is shown so before anybody writes it down."""
        stored = read_experiment(row)
        ends_at = self._ends_at(stored)
        is_over = ends_at is not None and ends_at < self._clock.now()
        return stored.expired(ends_at) if ends_at and is_over else stored

    def keep_expired(self, connection: Connection, row: Row[Any]) -> StoredExperiment:
        """Write down that a trial has expired, which ``read`` has told."""
        stored = self.read(row)
        values = experiment_values(stored.experiment, stored.result)
        ended = naive_utc(stored.decided_at or self._clock.now())
        query = update(EXPERIMENTS).where(EXPERIMENTS.c.id == row.id)
        connection.execute(query.values(values | {"decided_at": ended}))
        return stored

    def _ends_at(self, stored: StoredExperiment) -> datetime | None:
        heard_at = stored.heard_at
        on_trial = stored.experiment.state is ExperimentState.APPLIED
        return heard_at + SILENT_FOR if on_trial and heard_at else None


def of_kind(pipeline: str, shape_key: str) -> Select[Any]:
    """Pick the trials of one kind of work."""
    alike = (EXPERIMENTS.c.pipeline == pipeline, EXPERIMENTS.c.shape_key == shape_key)
    return select(EXPERIMENTS).where(*alike)


def on_trial_of(setting: str) -> Select[Any]:
    """Pick the trial of a setting."""
    return select(EXPERIMENTS).where(EXPERIMENTS.c.on_trial == setting)


def is_in(state: ExperimentState) -> Any:
    """Pick trials by where they stand."""
    return EXPERIMENTS.c.state == state.value


def _stored(connection: Connection, experiment_id: str) -> StoredExperiment:
    query = select(EXPERIMENTS).where(EXPERIMENTS.c.id == experiment_id)
    return read_experiment(connection.execute(query).one())
