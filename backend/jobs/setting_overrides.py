"""Values that replace those the server was started with; each remembers what it replaced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from backend.errors import AdviceOutdated, InvalidParameter
from backend.jobs.tuning_table import OVERRIDES, StoredExperiment
from backend.profiling.experiment import Value
from backend.profiling.run_table import naive_utc
from backend.runtime_settings import known
from backend.units import Clock


class SettingOverrides:
    """The rows of ``runtime_settings``, inside transactions of ``TuningStore``.

    A row holds only as long as the start value it replaced stays the same: whoever starts the
    server with another value has the last word.

    Parameters
    ----------
    started : mapping
        The values the server was started with.
    """

    def __init__(self, started: Mapping[str, Value], clock: Clock) -> None:
        self._started = started
        self._clock = clock

    def values(self, connection: Connection) -> dict[str, Value]:
        """Return the values in force."""
        rows = connection.execute(select(OVERRIDES)).all()
        return {row.name: row.value["value"] for row in rows if self._holds(row)}

    def put(
        self, connection: Connection, name: str, value: Value, experiment_id: str | None
    ) -> None:
        """Put a value in force; ``experiment_id`` is the trial that confirmed it, if one did."""
        row = _row(connection, name)
        previous: dict[str, Any] = {}
        if row is not None and self._holds(row):
            previous = {**row.value, "experiment_id": row.experiment_id}
        self.remove(connection, name)
        connection.execute(
            insert(OVERRIDES).values(
                name=name,
                value={"value": value},
                start_value={"value": self._started.get(name)},
                previous=previous,
                experiment_id=experiment_id,
                changed_at=naive_utc(self._clock.now()),
            )
        )

    def remove(self, connection: Connection, name: str) -> None:
        """Return to the value of the start."""
        connection.execute(delete(OVERRIDES).where(OVERRIDES.c.name == name))

    def take_back(self, connection: Connection, stored: StoredExperiment) -> None:
        """Put back what was in force before a confirmed value.

        Raises
        ------
        AdviceOutdated
            It is not in force any more.
        """
        test = stored.experiment
        row = _row(connection, test.setting)
        if row is None or row.experiment_id != stored.id or not self._holds(row):
            raise AdviceOutdated(f"A later change of {test.setting} has replaced this value.")
        self.remove(connection, test.setting)
        if row.previous:
            before = row.previous
            self.put(connection, test.setting, before["value"], before["experiment_id"])
        elif self._started.get(test.setting) != test.old:  # a person had set it elsewhere
            self.put(connection, test.setting, test.old, None)

    def _holds(self, row: Row[Any]) -> bool:
        if row.start_value["value"] != self._started.get(row.name):
            return False
        try:
            known(row.name).check(row.value["value"])
        except InvalidParameter:  # kept by another version
            return False
        return True


def _row(connection: Connection, name: str) -> Row[Any] | None:
    query = select(OVERRIDES).where(OVERRIDES.c.name == name).with_for_update()
    return connection.execute(query).first()
