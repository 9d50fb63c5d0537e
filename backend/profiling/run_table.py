"""The SQL table of finished runs; it lies in the database of the jobs but depends on none."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    Engine,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    inspect,
)
from sqlalchemy.exc import SQLAlchemyError

METADATA = MetaData()
RUNS = Table(
    "profile_runs",
    METADATA,
    Column("id", String(26), primary_key=True),
    Column("job_id", String(26), index=True),
    Column("pipeline", String(80), nullable=False),
    Column("shape_key", String(400), nullable=False),
    Column("status", String(12), nullable=False),
    Column("started_at", DateTime, nullable=False),
    Column("total_s", Float, nullable=False),
    Column("queue_s", Float),
    Column("load_s", Float),
    Column("device", String(200)),
    Column("engine", JSON, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("batch_size", Integer),
    Column("version", String(80), nullable=False),
    Column("stages", JSON, nullable=False),
    Column("profile", LargeBinary, nullable=False),
    Index("profile_runs_newest", "started_at", "id"),
    Index("profile_runs_alike", "pipeline", "shape_key", "started_at"),
)
SUMMARY_COLUMNS = tuple(column for column in RUNS.columns if column.name != "profile")


def create_missing(engine: Engine) -> None:
    """Create the table if it is missing; where it is there, nobody waits for the write lock."""
    if inspect(engine).has_table(RUNS.name):
        return
    try:
        # The job database takes SQLite's write lock when such a transaction begins.
        METADATA.create_all(engine.execution_options(writes=True))
    except SQLAlchemyError:  # another process may do so at the same time
        if not inspect(engine).has_table(RUNS.name):
            raise


def naive_utc(moment: datetime) -> datetime:
    """Write a time without its zone: SQLite would forget it."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def aware_utc(moment: datetime) -> datetime:
    """Read a time that ``naive_utc`` wrote."""
    return moment.replace(tzinfo=UTC)


def pack(document: Mapping[str, Any]) -> bytes:
    """Write a profile small: two thousand spans repeat each other."""
    return zlib.compress(json.dumps(document, separators=(",", ":")).encode())


def unpack(packed: bytes) -> dict[str, Any]:
    """Read what ``pack`` wrote."""
    document: dict[str, Any] = json.loads(zlib.decompress(packed))
    return document
