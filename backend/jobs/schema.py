"""The tables, and the engine settings that make them durable."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Connection,
    DateTime,
    Engine,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    create_engine,
    event,
)
from sqlalchemy.engine.interfaces import DBAPIConnection, Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.types import TypeDecorator

from backend.errors import StartFailed
from backend.jobs.final_states import guard_final_states
from backend.jobs.states import JobState, StageState

BUSY_TIMEOUT_MS = 20_000
# Two processes may start at once: whoever comes second waits, then finds everything there.
_ONE_AT_A_TIME = 0x6D65_7368  # any number that is ours
_STATES = ", ".join(f"'{state.value}'" for state in JobState)


class UtcDateTime(TypeDecorator[datetime]):
    """A time that is always aware and in UTC; SQLite would forget the zone."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store in UTC without a zone."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Hand out in UTC with the zone."""
        return None if value is None else value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    """Base of the tables."""


class JobRow(Base):
    """A job. ``owner`` and ``attempt`` are the fence: only their holder may change a run."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(f"status IN ({_STATES})", name="status_known"),
        CheckConstraint("progress >= 0 AND progress <= 100", name="progress_in_range"),
        Index("jobs_by_queue", "queue", "status", "priority", "created_at"),
        Index("jobs_newest", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    pipeline: Mapped[str] = mapped_column(String(40))
    name: Mapped[str] = mapped_column(String(200))
    status: Mapped[str] = mapped_column(String(12), default=JobState.QUEUED.value)
    queue: Mapped[str] = mapped_column(String(20))
    priority: Mapped[int] = mapped_column(Integer)
    listed: Mapped[bool] = mapped_column(Boolean, default=True)
    deleted: Mapped[bool] = mapped_column(Boolean, default=False)
    params: Mapped[dict[str, Any]] = mapped_column(JSON)
    inputs: Mapped[list[str]] = mapped_column(JSON)
    batch_key: Mapped[str] = mapped_column(Text)
    cost_key: Mapped[str] = mapped_column(String(200), index=True)
    batch_id: Mapped[str | None] = mapped_column(String(26), index=True)
    retry_of: Mapped[str | None] = mapped_column(String(26))
    progress: Mapped[float] = mapped_column(Float, default=0.0)
    attempt: Mapped[int] = mapped_column(Integer, default=0)
    max_attempts: Mapped[int] = mapped_column(Integer)
    engine: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    warnings: Mapped[list[str]] = mapped_column(JSON, default=list)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    owner: Mapped[str | None] = mapped_column(String(120), index=True)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cancel_requested_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    inputs_removed: Mapped[bool] = mapped_column(Boolean, default=False)
    version: Mapped[int] = mapped_column(Integer, default=1)

    stages: Mapped[list[StageRow]] = relationship(
        order_by="StageRow.position", cascade="all, delete-orphan", lazy="selectin"
    )
    outputs: Mapped[list[OutputRow]] = relationship(
        order_by="OutputRow.position", cascade="all, delete-orphan", lazy="selectin"
    )


class StageRow(Base):
    """One stage of a job."""

    __tablename__ = "stages"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    status: Mapped[str] = mapped_column(String(12), default=StageState.PENDING.value)
    progress: Mapped[float] = mapped_column(Float, default=0.0)
    step: Mapped[int | None] = mapped_column(Integer)
    steps: Mapped[int | None] = mapped_column(Integer)
    elapsed_s: Mapped[float | None] = mapped_column(Float)


class OutputRow(Base):
    """One file of a finished job."""

    __tablename__ = "outputs"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    position: Mapped[int] = mapped_column(Integer)
    format: Mapped[str] = mapped_column(String(20))
    role: Mapped[str] = mapped_column(String(40))
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))


class IdempotencyRow(Base):
    """A key a client used, the body it came with, and the job it made."""

    __tablename__ = "idempotency_keys"

    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    body_sha256: Mapped[str] = mapped_column(String(64))
    job_id: Mapped[str] = mapped_column(String(26))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class TraceRow(Base):
    """The trace that a job belongs to; gone with the job."""

    __tablename__ = "job_traces"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    trace_id: Mapped[str] = mapped_column(String(32))
    parent_key: Mapped[str | None] = mapped_column(String(16))


def open_database(url: str) -> Engine:
    """Connect, and create what is missing.

    SQLite runs in WAL mode with full synchronisation, so that an acknowledged job survives a
    power failure; a trigger keeps a job that has ended from changing again. PostgreSQL keeps its
    own promises with its usual settings (``synchronous_commit = on``).

    Raises
    ------
    StartFailed
        The driver that the address names is not installed.
    """
    engine = _engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    with for_writing(engine).begin() as connection:
        queue_writers(connection)
        Base.metadata.create_all(connection)
        guard_final_states(connection)
    return engine


def _engine(url: str) -> Engine:
    try:
        return create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    except ModuleNotFoundError as error:
        raise StartFailed(
            f"The database driver {error.name} is not installed.",
            advice="Run: pip install -r requirements-postgres.txt "
            "and begin the address with postgresql+psycopg://",
        ) from error


def for_writing(engine: Engine) -> Engine:
    """Return the same database, with transactions that take the write lock when they begin."""
    return engine.execution_options(writes=True)


def queue_writers(connection: Connection) -> None:
    """Let one transaction after the other pass here, as SQLite does by itself."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ONE_AT_A_TIME})")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # BEGIN is ours to send
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
