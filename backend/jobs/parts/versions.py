"""The versions of the parts of jobs: each is a list of edits, and none is ever changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Select, delete, insert, select

from backend.errors import NotFound, StaleVersion
from backend.jobs.lazy_tables import LazyTables
from backend.jobs.parts.edits import EditLog
from backend.jobs.parts.table import PartVersionRow
from backend.jobs.schema import Base
from backend.units import Clock

FIRST = 1
_COLUMNS = (PartVersionRow.version, PartVersionRow.edits, PartVersionRow.done)
KEPT = 100


@dataclass(frozen=True)
class PartVersion:
    """A version: its number, and the edits that lead to it."""

    number: int = FIRST
    log: EditLog = field(default_factory=EditLog)


@dataclass(frozen=True)
class KeptVersion:
    """A version in a list: its number, its edits, and when it was kept if that is known."""

    number: int
    log: EditLog
    created_at: datetime | None


class PartVersions:
    """The versions that are kept: of each job the engine's own and the last hundred.

    Parameters
    ----------
    engine : Engine
        The job database.
    clock : Clock
        Source of time.
    """

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._tables = LazyTables(engine, Base.metadata)
        self._clock = clock

    def latest(self, job_id: str) -> PartVersion:
        """Return the version in force."""
        return self._tables.read(lambda connection: _latest(connection, job_id), PartVersion())

    def find(self, job_id: str, number: int) -> PartVersion:
        """Look up a version; raises NotFound."""
        if number == FIRST:
            return PartVersion()
        query = _rows(job_id).where(PartVersionRow.version == number)
        row = self._tables.read(lambda connection: connection.execute(query).first(), None)
        if row is None:
            raise NotFound(
                f"There is no version {number} of these parts.",
                advice=f"The first version and the last {KEPT} are kept.",
            )
        return PartVersion(row.version, EditLog(tuple(row.edits), row.done))

    def kept(self, job_id: str) -> list[KeptVersion]:
        """List the versions that somebody made and that are kept, rising."""
        columns = (*_COLUMNS, PartVersionRow.created_at)
        query = select(*columns).where(PartVersionRow.job_id == job_id)
        query = query.order_by(PartVersionRow.version)
        rows: list[Any] = self._tables.read(lambda connection: [*connection.execute(query)], [])
        return [
            KeptVersion(row.version, EditLog(tuple(row.edits), row.done), row.created_at)
            for row in rows
        ]

    def add(self, job_id: str, after: int, log: EditLog) -> PartVersion:
        """Keep a new version.

        Parameters
        ----------
        after : int
            The version that was edited.

        Raises
        ------
        StaleVersion
            Somebody else has made a version after it.
        """
        made = PartVersion(after + 1, log)
        self._tables.write(lambda connection: self._insert(connection, job_id, made))
        return made

    def _insert(self, connection: Connection, job_id: str, made: PartVersion) -> None:
        check_is_latest(_latest(connection, job_id).number, made.number - 1)
        connection.execute(
            insert(PartVersionRow).values(
                job_id=job_id,
                version=made.number,
                edits=[*made.log.edits],
                done=made.log.done,
                created_at=self._clock.now(),
            )
        )
        old = PartVersionRow.version <= made.number - KEPT
        connection.execute(delete(PartVersionRow).where(PartVersionRow.job_id == job_id, old))


def check_is_latest(latest: int, edited: int) -> None:
    """Raise StaleVersion when another version than the latest was edited."""
    if latest != edited:
        raise StaleVersion(f"The parts are at version {latest}, not {edited}.")


def _rows(job_id: str) -> Select[tuple[int, list[dict[str, Any]], int]]:
    return select(*_COLUMNS).where(PartVersionRow.job_id == job_id)


def _latest(connection: Connection, job_id: str) -> PartVersion:
    query = _rows(job_id).order_by(PartVersionRow.version.desc()).limit(1)
    row = connection.execute(query).first()
    return PartVersion(row.version, EditLog(tuple(row.edits), row.done)) if row else PartVersion()
