"""Values that hold for some engines only: what auto-tune found, in a table of its own.

``setting_overrides`` of an earlier version has no column for engines, and no table ever gets one
later; its rows hold for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    DateTime,
    MetaData,
    Row,
    String,
    Table,
    delete,
    insert,
    inspect,
    select,
)

from backend.jobs.tuning_table import LONGEST_NAME
from backend.profiling.experiment import Value

METADATA = MetaData()
TABLE = Table(
    "engine_overrides",
    METADATA,
    Column("name", String(40), primary_key=True),
    # The start value it replaces, as JSON text; with another one it does not count.
    Column("start_key", String(80), primary_key=True),
    Column("pipeline", String(80), primary_key=True),
    Column("device", String(LONGEST_NAME), primary_key=True),
    # See ``job_engines.engines_key``.
    Column("engines", String(LONGEST_NAME), primary_key=True),
    Column("value", JSON, nullable=False),
    Column("changed_at", DateTime, nullable=False),
)


def engine_rows(connection: Connection) -> Sequence[Row[Any]]:
    """Return all of them, in no order; none before the first was put."""
    return connection.execute(select(TABLE)).all() if _exists(connection) else []


def put_engine_row(
    connection: Connection,
    key: tuple[str, str, str, str, str],
    value: Value,
    changed_at: datetime,
) -> None:
    """Replace the value of a key; the first one creates the table.

    Parameters
    ----------
    key : tuple of str
        Name, start key, pipeline, device, engines.
    """
    METADATA.create_all(connection)
    columns = TABLE.primary_key.columns
    own = [column == part for column, part in zip(columns, key, strict=True)]
    connection.execute(delete(TABLE).where(*own))
    row = dict(zip(columns.keys(), key, strict=True))
    connection.execute(insert(TABLE).values(**row, value={"value": value}, changed_at=changed_at))


def remove_engine_rows(connection: Connection, name: str, start_key: str) -> None:
    """Drop all values of a setting, for whatever engines."""
    if _exists(connection):
        own = (TABLE.c.name == name, TABLE.c.start_key == start_key)
        connection.execute(delete(TABLE).where(*own))


def _exists(connection: Connection) -> bool:
    return inspect(connection).has_table(TABLE.name)
