"""Values that replace those the server was started with; each knows which work it holds for."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, insert, select

from backend.errors import AdviceOutdated, InvalidParameter
from backend.jobs.engine_overrides import engine_rows, put_engine_row, remove_engine_rows
from backend.jobs.job_engines import Engines, holds_for
from backend.jobs.local_devices import is_same_device
from backend.jobs.tuning_table import LONGEST_NAME, OVERRIDES, StoredExperiment
from backend.profiling.experiment import Value
from backend.profiling.run_table import naive_utc
from backend.runtime_settings import known
from backend.units import Clock


@dataclass(frozen=True)
class Scope:
    """Which work a value holds for.

    Parameters
    ----------
    pipeline, device : str
        Empty for all.
    engines : str
        See ``job_engines.engines_key``; empty for all.
    """

    pipeline: str = ""
    device: str = ""
    engines: str = ""


EVERYWHERE = Scope()


class SettingOverrides:
    """The rows of ``setting_overrides`` and ``engine_overrides``, for ``TuningStore``.

    A row counts only where the server was started with the value that it replaced: whoever starts
    it with another has the last word there, and touches nobody else's rows. Of several rows for
    the same work the newest holds.

    Parameters
    ----------
    started : mapping
        The values the server was started with.
    clock : Clock
        Source of time.
    devices : callable
        Names the devices of this machine.
    """

    def __init__(
        self,
        started: Mapping[str, Value],
        clock: Clock,
        devices: Callable[[], Collection[str]],
    ) -> None:
        self._started = started
        self._clock = clock
        self._devices = devices

    def values(
        self,
        connection: Connection,
        pipeline: str | None = None,
        device: str | None = None,
        engines: Engines | None = None,
    ) -> dict[str, Value]:
        """Return the values in force.

        Parameters
        ----------
        pipeline : str, optional
            Whose jobs; by default those of any.
        device : str, optional
            Where; by default on the devices of this machine.
        engines : mapping, optional
            With which engines, by role; by default with any.
        """
        rows = [row for row in self._rows(connection, engines) if self._counts(row)]
        rows = [row for row in rows if self._covers(row, pipeline, device)]
        newest_last = sorted(rows, key=lambda row: (row.changed_at, row.pipeline))
        return {row.name: row.value["value"] for row in newest_last}

    def put(
        self,
        connection: Connection,
        name: str,
        value: Value,
        experiment_id: str | None = None,
        scope: Scope = EVERYWHERE,
    ) -> None:
        """Put a value in force; ``experiment_id`` is the trial that confirmed it, if one did."""
        if scope.engines:
            device = scope.device[:LONGEST_NAME]
            key = (name, self._start_key(name), scope.pipeline, device, scope.engines)
            put_engine_row(connection, key, value, naive_utc(self._clock.now()))
            return
        row = self._row(connection, name, scope)
        previous: dict[str, Any] = {}
        if row is not None and self._counts(row):
            changed_at = row.changed_at.isoformat()
            previous = {
                **row.value, "experiment_id": row.experiment_id, "changed_at": changed_at
            }  # fmt: skip
        now = naive_utc(self._clock.now())
        self._replace(connection, name, scope, value, experiment_id, now, previous)

    def remove(self, connection: Connection, name: str) -> None:
        """Return to the value of the start, for all work."""
        connection.execute(delete(OVERRIDES).where(self._of_this_start(name)))
        remove_engine_rows(connection, name, self._start_key(name))

    def take_back(self, connection: Connection, stored: StoredExperiment) -> None:
        """Put back what was in force before a confirmed value.

        Raises
        ------
        AdviceOutdated
            It is not in force any more.
        """
        test = stored.experiment
        row = self._row(connection, test.setting, EVERYWHERE)
        if row is None or row.experiment_id != stored.id or not self._counts(row):
            raise AdviceOutdated(self._why_not(connection, stored))
        own = (self._of_this_start(test.setting), *_within(EVERYWHERE))
        connection.execute(delete(OVERRIDES).where(*own))
        before = row.previous
        if before:
            # As old as it was, so that what was found since for some of the work still holds.
            changed_at = datetime.fromisoformat(before["changed_at"])
            self._replace(
                connection, test.setting, EVERYWHERE,
                before["value"], before["experiment_id"], changed_at, {},
            )  # fmt: skip
            return
        now = self.values(connection, stored.pipeline)
        if now.get(test.setting, self._started.get(test.setting)) != test.old:
            self.put(connection, test.setting, test.old)  # a person had set it elsewhere

    def _replace(
        self,
        connection: Connection,
        name: str,
        scope: Scope,
        value: Value,
        experiment_id: str | None,
        changed_at: datetime,
        previous: Mapping[str, Any],
    ) -> None:
        connection.execute(delete(OVERRIDES).where(self._of_this_start(name), *_within(scope)))
        connection.execute(
            insert(OVERRIDES).values(
                name=name,
                start_key=self._start_key(name),
                pipeline=scope.pipeline,
                device=scope.device[:LONGEST_NAME],
                value={"value": value},
                previous=dict(previous),
                experiment_id=experiment_id,
                changed_at=changed_at,
            )
        )

    def _rows(self, connection: Connection, engines: Engines | None) -> list[Row[Any]]:
        """Return the rows for all work, and those of the engines."""
        of_engines = engine_rows(connection)
        if engines is not None:
            of_engines = [row for row in of_engines if holds_for(row.engines, engines)]
        return [*connection.execute(select(OVERRIDES)).all(), *of_engines]

    def _row(self, connection: Connection, name: str, scope: Scope) -> Row[Any] | None:
        query = select(OVERRIDES).where(self._of_this_start(name), *_within(scope))
        return connection.execute(query.with_for_update()).first()

    def _why_not(self, connection: Connection, stored: StoredExperiment) -> str:
        setting = stored.experiment.setting
        query = select(OVERRIDES.c.name).where(OVERRIDES.c.experiment_id == stored.id)
        if connection.execute(query).first() is None:
            return f"A later change of {setting} has replaced this value."
        return (
            f"This value does not count at the moment: the server was started with {setting}="
            f"{self._started.get(setting)}, not with the value that it replaced."
        )

    def _counts(self, row: Row[Any]) -> bool:
        if row.start_key != self._start_key(row.name):
            return False
        try:
            known(row.name).check(row.value["value"])
        except InvalidParameter:  # kept by another version
            return False
        return True

    def _covers(self, row: Row[Any], pipeline: str | None, device: str | None) -> bool:
        if row.pipeline and pipeline is not None and row.pipeline != pipeline:
            return False
        if not row.device:
            return True
        present = self._devices() if device is None else (device[:LONGEST_NAME],)
        return any(is_same_device(row.device, name) for name in present)

    def _of_this_start(self, name: str) -> ColumnElement[bool]:
        return and_(OVERRIDES.c.name == name, OVERRIDES.c.start_key == self._start_key(name))

    def _start_key(self, name: str) -> str:
        return json.dumps(self._started.get(name))


def _within(scope: Scope) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    named = OVERRIDES.c.device == scope.device[:LONGEST_NAME]
    return OVERRIDES.c.pipeline == scope.pipeline, named
