"""Every finished run in SQL: what it took, under which settings, and its whole profile."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, create_engine, delete, insert, select

from backend.build import build_name
from backend.profiling.comparison import RunTimes
from backend.profiling.run_summary import (
    RunStatus,
    RunSummary,
    StoredRun,
    load_seconds,
    queue_seconds,
    read_stages,
    run_stages,
)
from backend.profiling.run_table import (
    RUNS,
    SUMMARY_COLUMNS,
    aware_utc,
    create_missing,
    naive_utc,
    pack,
    unpack,
)
from backend.profiling.spans import PipelineProfile
from backend.profiling.summary_cache import SummaryCache
from backend.units import Clock, SystemClock, new_id

KEPT_RUNS = 5000
KEPT = timedelta(days=90)
DROPPED_AT_ONCE = 500
READ_AT_ONCE = 500
DEEP = "deep"  # the setting that marks such a run


@dataclass(frozen=True)
class RunFilter:
    """Which runs to list; what is None does not restrict.

    Parameters
    ----------
    since : datetime or None
        Runs that began then or later; with a time zone.
    limit : int
        At most so many, the newest.
    with_deep : bool
        Also runs that were profiled in depth, which the profilers slowed.
    jobs : select or None
        A query of identifiers; only runs of these jobs.
    """

    pipeline: str | None = None
    shape_key: str | None = None
    status: RunStatus | None = None
    version: str | None = None
    since: datetime | None = None
    limit: int = 200
    with_deep: bool = False
    jobs: Select[Any] | None = None


class RunHistory:
    """The runs that were recorded on this machine, the newest 5000 of the last 90 days.

    Parameters
    ----------
    engine : Engine or str
        The database or its SQLAlchemy address; the table is created at the first use.
    clock : Clock, optional
        Source of time.
    kept_runs : int
        How many runs are kept.
    kept : timedelta
        For how long they are kept.
    version : str, optional
        Build of this program, stored with each run; by default this one.
    """

    def __init__(
        self,
        engine: Engine | str,
        clock: Clock | None = None,
        *,
        kept_runs: int = KEPT_RUNS,
        kept: timedelta = KEPT,
        version: str | None = None,
    ) -> None:
        self._engine = create_engine(engine) if isinstance(engine, str) else engine
        # The job database takes SQLite's write lock when such a transaction begins.
        self._writer = self._engine.execution_options(writes=True)
        self._clock = clock or SystemClock()
        self._kept_runs = kept_runs
        self._kept = kept
        self._version = version or build_name()
        self._ready = False
        self._lock = threading.Lock()
        self._summaries = SummaryCache()

    def record(
        self,
        profile: PipelineProfile,
        *,
        job_id: str | None,
        pipeline: str,
        engine: Mapping[str, Any],
        settings: Mapping[str, Any],
        shape_key: str,
        batch_size: int | None,
        status: RunStatus | None = None,
    ) -> str:
        """Keep a run, and drop those that were kept long enough, in one transaction.

        Parameters
        ----------
        engine : mapping
            Which engine did each role.
        settings : mapping
            Settings in force, JSON-ready.
        shape_key : str
            Equal for runs that do like work.
        status : RunStatus, optional
            That of the profile unless given.

        Returns
        -------
        str
            Identifier of the run.

        Raises
        ------
        SQLAlchemyError
            The database did not take it.
        """
        self._prepare()
        now = self._clock.now()
        row = {
            "id": new_id(now),
            "job_id": job_id,
            "pipeline": pipeline,
            "shape_key": shape_key,
            "status": (status or RunStatus.of(profile)).value,
            "started_at": naive_utc(profile.started_at),
            "total_s": profile.total_duration,
            "queue_s": queue_seconds(profile),
            "load_s": load_seconds(profile),
            "device": profile.device,
            "engine": dict(engine),
            "settings": dict(settings),
            "batch_size": batch_size,
            "version": self._version,
            "stages": [stage.to_row() for stage in run_stages(profile)],
            "profile": pack(profile.to_document()),
        }
        with self._writer.begin() as connection:
            connection.execute(insert(RUNS).values(row))
            self._drop_old(connection, now)
        return str(row["id"])

    def runs(self, wanted: RunFilter | None = None) -> list[RunSummary]:
        """List runs, newest first; what hangs on them is shared, so change nothing of it."""
        self._prepare()
        with self._engine.connect() as connection:
            names = connection.scalars(_query(wanted or RunFilter())).all()
            known = self._summaries.known(names)
            new = [_summary(row) for row in _rows(connection, [n for n in names if n not in known])]
        self._summaries.keep(reversed(new))
        known |= {run.run: run for run in new}
        # A run that was dropped between both questions has a name and nothing else.
        return [known[name] for name in names if name in known]

    def run(self, run_id: str) -> StoredRun | None:
        """Return one run with its profile document; None if it is not, or no longer, kept."""
        self._prepare()
        with self._engine.connect() as connection:
            row = connection.execute(select(RUNS).where(RUNS.c.id == run_id)).first()
        return None if row is None else StoredRun(_summary(row), unpack(row.profile))

    def newest(self) -> str | None:
        """Return the identifier of the run that was recorded last."""
        self._prepare()
        with self._engine.connect() as connection:
            query = select(RUNS.c.id).order_by(RUNS.c.id.desc()).limit(1)
            return connection.scalar(query)

    def stage_times(
        self, pipeline: str, shape_key: str | None = None, limit: int = 200
    ) -> list[RunTimes]:
        """Seconds per stage of the last runs that succeeded, newest first.

        Runs without any stage are left out.
        """
        wanted = RunFilter(pipeline, shape_key, RunStatus.OK, limit=limit)
        return [run.stage_seconds for run in self.runs(wanted) if run.stages]

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _prepare(self) -> None:
        with self._lock:
            if not self._ready:
                create_missing(self._engine)
                self._ready = True

    def _drop_old(self, connection: Connection, now: datetime) -> None:
        """Drop what is too old, and some of what is too much: a large surplus goes by and by."""
        newest_first = select(RUNS.c.id).order_by(RUNS.c.started_at.desc(), RUNS.c.id.desc())
        beyond = newest_first.offset(self._kept_runs).limit(DROPPED_AT_ONCE)
        surplus = connection.scalars(beyond).all()
        if surplus:
            connection.execute(delete(RUNS).where(RUNS.c.id.in_(surplus)))
        connection.execute(delete(RUNS).where(RUNS.c.started_at < naive_utc(now - self._kept)))


def _query(wanted: RunFilter) -> Select[Any]:
    query = select(RUNS.c.id).order_by(RUNS.c.started_at.desc(), RUNS.c.id.desc())
    for name in ("pipeline", "shape_key", "status", "version"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(RUNS.c[name] == value)
    if wanted.jobs is not None:
        query = query.where(RUNS.c.job_id.in_(wanted.jobs))
    if wanted.since is not None:
        query = query.where(RUNS.c.started_at >= naive_utc(wanted.since))
    if not wanted.with_deep:
        query = query.where(RUNS.c.settings[DEEP].as_boolean().is_not(True))
    return query.limit(wanted.limit)


def _rows(connection: Connection, names: Sequence[str]) -> Iterator[Row[Any]]:
    """Read runs by name, in their order and no more at once than a statement takes."""
    for first in range(0, len(names), READ_AT_ONCE):
        part = names[first : first + READ_AT_ONCE]
        found = connection.execute(select(*SUMMARY_COLUMNS).where(RUNS.c.id.in_(part)))
        rows = {row.id: row for row in found}
        yield from (rows[name] for name in part if name in rows)


def _summary(row: Row[Any]) -> RunSummary:
    return RunSummary(
        run=row.id,
        job_id=row.job_id,
        pipeline=row.pipeline,
        started_at=aware_utc(row.started_at),
        total_s=row.total_s,
        queue_s=row.queue_s,
        load_s=row.load_s,
        status=RunStatus(row.status),
        device=row.device,
        engine=row.engine,
        settings=row.settings,
        shape_key=row.shape_key,
        batch_size=row.batch_size,
        version=row.version,
        stages=read_stages(row.stages),
    )
