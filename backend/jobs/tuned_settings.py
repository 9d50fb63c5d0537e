"""What auto-tune found on this machine: its reports in SQL, and its values put in force."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    DateTime,
    Engine,
    MetaData,
    Row,
    Select,
    String,
    Table,
    delete,
    insert,
    select,
)
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from backend.catalog import PipelineName
from backend.errors import MeshkilnError
from backend.jobs.claims import ClaimedJob
from backend.jobs.job_engines import engines_key
from backend.jobs.lazy_tables import LazyTables
from backend.jobs.schema import BUSY_TIMEOUT_MS
from backend.jobs.service import JobService
from backend.jobs.setting_overrides import Scope
from backend.jobs.states import JobState
from backend.jobs.trial_places import JOB_PATIENCE_MS
from backend.jobs.tuning_table import LONGEST_NAME
from backend.profiling.run_table import aware_utc, naive_utc
from backend.runtime_settings import Value
from backend.units import Clock, iso

KEPT_REPORTS = 50
# A locked database is waited for beside the jobs; one that stays so is a fault of its own.
RETRY_S = 1.0
RETRIES = 60

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
        self._tables = LazyTables(engine, METADATA)
        self._clock = clock

    def keep(
        self,
        job_id: str,
        report: Mapping[str, Any],
        *,
        adopted: bool,
        patience_ms: int = BUSY_TIMEOUT_MS,
    ) -> None:
        """Store a report, and drop the oldest beyond 50.

        Raises
        ------
        OperationalError
            Others wrote for longer than the patience.
        """
        self._tables.write(lambda c: self.put(c, job_id, report, adopted=adopted), patience_ms)

    def put(
        self, connection: Connection, job_id: str, report: Mapping[str, Any], *, adopted: bool
    ) -> None:
        """Store a report within somebody's own transaction."""
        self._tables.create_in(connection)
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
        connection.execute(delete(REPORTS).where(REPORTS.c.job_id == job_id))
        connection.execute(insert(REPORTS).values(row))
        old = connection.scalars(newest.offset(KEPT_REPORTS)).all()
        connection.execute(delete(REPORTS).where(REPORTS.c.job_id.in_(old)))

    def latest(self, *, adopted: bool = False) -> StoredReport | None:
        """Return the newest report, or the newest one whose values were put in force."""
        query = select(REPORTS).order_by(REPORTS.c.finished_at.desc())
        return self._first(query.where(REPORTS.c.adopted) if adopted else query)

    def of_job(self, job_id: str) -> StoredReport | None:
        """Return the report of a job; None if it is not kept."""
        return self._first(select(REPORTS).where(REPORTS.c.job_id == job_id))

    def _first(self, query: Select[Any]) -> StoredReport | None:
        row = self._tables.read(lambda c: c.execute(query.limit(1)).first(), None)
        return _read(row) if row else None


def reports_of(service: JobService) -> TunedSettings:
    """Open the reports in the database of a service."""
    return TunedSettings(service.store.engine, service.clock)


def keep_report(
    service: JobService,
    job_id: str,
    report: Mapping[str, Any],
    *,
    dry_run: bool,
    patience_ms: int = BUSY_TIMEOUT_MS,
) -> None:
    """Store a report and put what it changes in force, all of it or nothing.

    The values hold for jobs of the pipeline that was measured, with the engines and on the device
    that it was measured with. A setting that the report leaves as it was is not set, so that it
    goes on to follow the start.

    Raises
    ------
    InvalidParameter
        A value cannot be set.
    OperationalError
        Others wrote for longer than the patience.
    """
    reports = reports_of(service)
    changes = {change["setting"]: change["to"] for change in report["changes"]}
    if dry_run or not changes:
        reports.keep(job_id, report, adopted=False, patience_ms=patience_ms)
        return
    service.tuning.adopt(
        changes,
        Scope(report["pipeline"], str(report["device"]), engines_key(report["engines"])),
        also=lambda connection: reports.put(connection, job_id, report, adopted=True),
        patience_ms=patience_ms,
    )


def values_kept(service: JobService, report: Mapping[str, Any]) -> dict[str, bool]:
    """Read back which changes of a report are in force, by the names of settings."""
    values = service.tuning.values(report["pipeline"], str(report["device"]), report["engines"])
    return {one["setting"]: values.get(one["setting"]) == one["to"] for one in report["changes"]}


def keep_if_tuned(service: JobService, job: ClaimedJob, state: JobState | None) -> None:
    """Keep what a job of auto-tune found; does nothing after any other job.

    While others write it is kept as soon as they have ended, beside the jobs that follow.
    """
    if job.pipeline != PipelineName.TUNE or state is not JobState.SUCCEEDED:
        return
    try:
        _keep_found(service, job)
    except OperationalError as error:
        log.warning("what job %s found is not kept yet: %s", job.id, error.orig)
        patient = threading.Thread(
            target=_keep_later, args=(service, job), name="keep-tuning", daemon=True
        )
        patient.start()
    except (MeshkilnError, SQLAlchemyError, KeyError):  # the job has ended well by itself
        log.exception("what job %s found could not be kept", job.id)


def _keep_found(service: JobService, job: ClaimedJob) -> None:
    report = service.store.get(job.id).facts["tuning"]
    dry_run = bool(job.params.get("dry_run"))
    keep_report(service, job.id, report, dry_run=dry_run, patience_ms=JOB_PATIENCE_MS)


def _keep_later(service: JobService, job: ClaimedJob) -> None:
    pause = threading.Event()
    for _ in range(RETRIES):
        pause.wait(RETRY_S)
        try:
            _keep_found(service, job)
        except OperationalError as error:
            log.debug("what job %s found is not kept yet: %s", job.id, error.orig)
        except (MeshkilnError, SQLAlchemyError, KeyError):
            break
        else:
            log.info("what job %s found is kept now", job.id)
            return
    log.error("what job %s found could not be kept; its values are not in force", job.id)


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
