"""What was measured beside the runs, such as how fast files compress here: the newest of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    and_,
    delete,
    func,
    insert,
    select,
)

from backend.jobs.lazy_tables import LazyTables
from backend.profiling.run_table import aware_utc, naive_utc
from backend.units import Clock, new_id

METADATA = MetaData()
TABLE = Table(
    "measurements",
    METADATA,
    Column("id", String(26), primary_key=True),
    Column("name", String(40), nullable=False),
    Column("pipeline", String(80), nullable=False),
    Column("shape_key", String(400), nullable=False),
    Column("device", String(200)),
    Column("document", JSON, nullable=False),
    Column("n", Integer, nullable=False),
    Column("measured_at", DateTime, nullable=False),
    Index("measurements_of", "name", "pipeline", "shape_key"),
)


@dataclass(frozen=True)
class MeasuredOn:
    """What a measurement is about.

    Parameters
    ----------
    device : str or None
        The card; None for work without one.
    """

    name: str
    pipeline: str
    shape_key: str
    device: str | None = None

    def condition(self) -> ColumnElement[bool]:
        """Pick its row."""
        own = TABLE.c.device.is_(None) if self.device is None else TABLE.c.device == self.device
        return and_(
            TABLE.c.name == self.name,
            TABLE.c.pipeline == self.pipeline,
            TABLE.c.shape_key == self.shape_key,
            own,
        )


@dataclass(frozen=True)
class Measurement:
    """What came out, from ``n`` repeats."""

    document: dict[str, Any]
    n: int
    measured_at: datetime


class Measurements:
    """The newest measurement of each kind.

    Parameters
    ----------
    engine : Engine
        The job database; the table is created at the first use.
    """

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._tables = LazyTables(engine, METADATA)
        self._clock = clock

    def keep(self, about: MeasuredOn, document: Mapping[str, Any], n: int) -> None:
        """Replace what was measured before; raises SQLAlchemyError."""
        now = self._clock.now()
        row = {
            "id": new_id(now),
            "name": about.name,
            "pipeline": about.pipeline,
            "shape_key": about.shape_key,
            "device": about.device,
            "document": dict(document),
            "n": n,
            "measured_at": naive_utc(now),
        }

        def replace(connection: Connection) -> None:
            connection.execute(delete(TABLE).where(about.condition()))
            connection.execute(insert(TABLE).values(row))

        self._tables.write(replace)

    def newest(self, about: MeasuredOn) -> Measurement | None:
        """Return the last measurement; None if there is none."""
        query = select(TABLE).where(about.condition()).order_by(TABLE.c.id.desc()).limit(1)
        row = self._tables.read(lambda connection: connection.execute(query).first(), None)
        if row is None:
            return None
        return Measurement(row.document, row.n, aware_utc(row.measured_at))

    def last_change(self, name: str) -> str | None:
        """Return a text that changes with every new measurement of that name."""
        query = select(func.max(TABLE.c.id)).where(TABLE.c.name == name)
        newest: str | None = self._tables.read(lambda connection: connection.scalar(query), None)
        return newest
