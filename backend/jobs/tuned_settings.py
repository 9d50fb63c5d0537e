"""What auto-tune found on this machine: its reports in SQL, and its values put in force."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Engine,
    MetaData,
    Row,
    String,
    Table,
    delete,
    insert,
    inspect,
    select,
)
from sqlalchemy.exc import SQLAlchemyError

from backend.catalog import PipelineName
from backend.errors import MeshkilnError
from backend.jobs.claims import ClaimedJob
from backend.jobs.service import JobService
from backend.jobs.states import JobState
from backend.profiling.run_table import aware_utc, naive_utc
from backend.runtime_settings import Value
from backend.units import Clock, iso

KEPT_REPORTS = 50
LONGEST_NAME = 200

METADATA = MetaData()
REPORTS = Table(
    "tuning_reports",
    METADATA,
    Column("job_id", String(26), primary_key=True),
    Column("device", String(LONGEST_NAME), nullable=False),
    Column("pipeline", String(80), nullable=False),
    Column("engine", String(LONGEST_NAME), nullable=False),
    Column("adopted", Boolean, nullable=False),
    Column("finished_at", DateTime, nullable=False, index=True),
    Column("best", JSON, nullable=False),
    Column("report", JSON, nullable=False),
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredReport:
    """A report of auto-tune.

    Parameters
    ----------
    adopted : bool
        Whether its values were put in force; False for a dry run.
    finished_at : datetime
        With time zone, UTC.
    best : dict
        The best values, by the name of the setting.
    report : dict
        As in ``tuning.json``.
    """

    job_id: str
    adopted: bool
    finished_at: datetime
    best: dict[str, Value]
    report: dict[str, Any]

    def to_document(self) -> dict[str, Any]:
        """Write it as what JSON can hold."""
        return {
            "job_id": self.job_id,
            "adopted": self.adopted,
            "finished_at": iso(self.finished_at),
            "report": self.report,
        }


class TunedSettings:
    """The newest reports.

    Parameters
    ----------
    engine : Engine
        The job database; the table is created at the first use.
    clock : Clock
        Source of time.
    """

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._writer = engine.execution_options(writes=True)
        self._clock = clock

    def keep(self, job_id: str, report: Mapping[str, Any], *, adopted: bool) -> None:
        """Store a report, and drop the oldest beyond 50."""
        self._prepare()
        row = {
            "job_id": job_id,
            "device": str(report["device"])[:LONGEST_NAME],
            "pipeline": report["pipeline"],
            "engine": engine_key(report["engines"]),
            "adopted": adopted,
            "finished_at": naive_utc(self._clock.now()),
            "best": report["best"],
            "report": dict(report),
        }
        newest = select(REPORTS.c.job_id).order_by(REPORTS.c.finished_at.desc())
        with self._writer.begin() as connection:
            connection.execute(delete(REPORTS).where(REPORTS.c.job_id == job_id))
            connection.execute(insert(REPORTS).values(row))
            old = connection.scalars(newest.offset(KEPT_REPORTS)).all()
            connection.execute(delete(REPORTS).where(REPORTS.c.job_id.in_(old)))

    def latest(self, *, adopted: bool = False) -> StoredReport | None:
        """Return the newest report, or the newest one whose values were put in force."""
        self._prepare()
        query = select(REPORTS).order_by(REPORTS.c.finished_at.desc()).limit(1)
        if adopted:
            query = query.where(REPORTS.c.adopted)
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        return _read(row) if row else None

    def best_for(
        self, device: str, pipeline: str, engines: Mapping[str, str]
    ) -> dict[str, Value] | None:
        """Return the values that were last adopted for work on a device, or None."""
        self._prepare()
        query = select(REPORTS).where(
            REPORTS.c.device == device[:LONGEST_NAME],
            REPORTS.c.pipeline == pipeline,
            REPORTS.c.engine == engine_key(engines),
            REPORTS.c.adopted,
        )
        with self._engine.connect() as connection:
            row = connection.execute(query.order_by(REPORTS.c.finished_at.desc()).limit(1)).first()
        return _read(row).best if row else None

    def _prepare(self) -> None:
        try:
            METADATA.create_all(self._writer)
        except SQLAlchemyError:  # another process has just made it
            if not inspect(self._writer).has_table(REPORTS.name):
                raise


def reports_of(service: JobService) -> TunedSettings:
    """Open the reports in the database of a service."""
    return TunedSettings(service.store.engine, service.clock)


def keep_report(
    service: JobService, job_id: str, report: Mapping[str, Any], *, dry_run: bool
) -> None:
    """Store a report and put what it changes in force for the jobs to come.

    A setting that it leaves as it was is not set, so that it goes on to follow the start.

    Raises
    ------
    InvalidParameter
        A value cannot be set.
    """
    if not dry_run:
        for change in report["changes"]:
            service.tuning.set(change["setting"], change["to"])
    adopted = not dry_run and bool(report["changes"])
    reports_of(service).keep(job_id, report, adopted=adopted)


def keep_if_tuned(service: JobService, job: ClaimedJob, state: JobState | None) -> None:
    """Keep what a job of auto-tune found; does nothing after any other job."""
    if job.pipeline != PipelineName.TUNE or state is not JobState.SUCCEEDED:
        return
    try:
        report = service.store.get(job.id).facts["tuning"]
        keep_report(service, job.id, report, dry_run=bool(job.params.get("dry_run")))
    except (MeshkilnError, SQLAlchemyError, KeyError):  # the job has ended well by itself
        log.exception("what job %s found could not be kept", job.id)


def engine_key(engines: Mapping[str, str]) -> str:
    """Write which engines did the work as one text.

    >>> engine_key({"shape": "inflate", "background": "alpha"})
    'background=alpha shape=inflate'
    """
    return " ".join(f"{role}={name}" for role, name in sorted(engines.items()))[:LONGEST_NAME]


def _read(row: Row[Any]) -> StoredReport:
    return StoredReport(
        row.job_id, row.adopted, aware_utc(row.finished_at), dict(row.best), dict(row.report)
    )
