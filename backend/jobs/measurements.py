"""What was measured beside the runs, such as how fast files compress here: the newest of each."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
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
    inspect,
    select,
)
from sqlalchemy.exc import SQLAlchemyError

from backend.jobs.schema import for_writing
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
        self._engine = engine
        self._writer = engine.execution_options(writes=True)
        self._clock = clock
        self._ready = False
        self._lock = threading.Lock()

    def keep(self, about: MeasuredOn, document: Mapping[str, Any], n: int) -> None:
        """Replace what was measured before; raises SQLAlchemyError."""
        self._prepare()
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
        with self._writer.begin() as connection:
            connection.execute(delete(TABLE).where(about.condition()))
            connection.execute(insert(TABLE).values(row))

    def newest(self, about: MeasuredOn) -> Measurement | None:
        """Return the last measurement; None if there is none."""
        self._prepare()
        query = select(TABLE).where(about.condition()).order_by(TABLE.c.id.desc()).limit(1)
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        return Measurement(row.document, row.n, aware_utc(row.measured_at))

    def last_change(self, name: str) -> str | None:
        """Return a text that changes with every new measurement of that name."""
        self._prepare()
        query = select(func.max(TABLE.c.id)).where(TABLE.c.name == name)
        with self._engine.connect() as connection:
            newest: str | None = connection.scalar(query)
        return newest

    def _prepare(self) -> None:
        with self._lock:
            if not self._ready:
                _create_missing(self._engine)
                self._ready = True


def _create_missing(engine: Engine) -> None:
    """Create the table if it is missing; where it is there, nobody waits for the write lock."""
    if inspect(engine).has_table(TABLE.name):
        return
    try:
        METADATA.create_all(for_writing(engine))
    except SQLAlchemyError:  # another process may do so at the same time
        if not inspect(engine).has_table(TABLE.name):
            raise
