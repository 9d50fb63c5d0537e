"""Puts every run of a pipeline on record; that it could not be recorded never fails a job."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from threading import current_thread, main_thread
from typing import Any

from sqlalchemy import Engine, select

from backend.errors import JobCanceled
from backend.jobs.claims import ClaimedJob
from backend.jobs.deep_profiles import DeepProfiles, DeepRun
from backend.jobs.gpu_settings import RULE_NAMES
from backend.jobs.history import DEEP_FACT
from backend.jobs.schema import JobRow
from backend.jobs.shape_key import shape_key_of
from backend.jobs.trace_links import trace_of
from backend.profiling.exports.open_telemetry import FinishedRun, RunExporter
from backend.profiling.history import DEEP, RunHistory
from backend.profiling.recorder import continue_from, record_pipeline
from backend.profiling.run_summary import RunStatus, load_seconds
from backend.profiling.spans import NS, PipelineProfile, SpanKind
from backend.profiling.trace import Trace
from backend.profiling.trace_headers import RemoteParent
from backend.settings import Settings
from backend.units import Clock

QUEUE_SPAN = "queue"
SETTINGS_ON_RECORD = (
    "gpu_management", "residency", "idle_offload_s", "idle_release_s", "vram_fraction",
    "vram_reserve_mb", "pin_budget_mb", "precision", "weights", "attention", "compile_models",
)  # fmt: skip

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Origin:
    """Where a run came from, as its row tells."""

    created_at: datetime
    started_at: datetime | None


class RecordedRun:
    """The run of one job: ``recorded`` around the work, ``keep`` when the job has ended.

    Attributes
    ----------
    batch_size : int
        Jobs that an engine worked for in one call, this one among them.
    """

    def __init__(self, recording: RunRecording, job: ClaimedJob) -> None:
        self._recording = recording
        self._job = job
        self._deep = recording.deep_run(job)
        self._profile: PipelineProfile | None = None
        self._status = RunStatus.FAILED
        self._settings: dict[str, Any] | None = None
        self.batch_size = 1

    def note_settings(self) -> None:
        """Note the settings in force now: at the end they may be those of another job."""
        try:
            self._settings = self._recording.settings_in_force()
        except Exception as error:  # noqa: BLE001  the job matters more than its record
            self._recording.complain(self._job, error)

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Record the stages inside the block."""
        trace: Trace | None = None
        profiled = self._deep.running() if self._deep else nullcontext()
        try:
            with profiled, self._recording.open(self._job) as trace:
                yield
            self._status = RunStatus.OK
        except JobCanceled:
            self._status = RunStatus.CANCELED
            raise
        finally:
            self._profile = trace.profile if trace else None

    @property
    def work_s(self) -> float | None:
        """Seconds of work without the loading of models; None before it began or once kept.

        None for a deep profile too: its profilers slow the job, which says nothing of a setting.
        """
        profile = None if self._deep else self._profile
        return profile.total_duration - load_seconds(profile) if profile else None

    @property
    def facts(self) -> dict[str, bool]:
        """What the job's facts should tell of this run."""
        return {DEEP_FACT: True} if self._deep else {}

    def keep(self) -> None:
        """Store what was recorded, once; nothing if the work never began."""
        profile, self._profile = self._profile, None
        deep, self._deep = self._deep, None
        run = None
        if profile is not None:
            run = self._recording.store(
                self._job,
                profile,
                self._status,
                deep=deep is not None,
                batch_size=self.batch_size,
                settings=self._settings,
            )
        if deep:
            deep.finish(run, profile.total_duration if profile else None)


class RunRecording:
    """Records the runs of this process into the history.

    Parameters
    ----------
    history : RunHistory
        Where they are kept.
    jobs : Engine
        The job database: who asked when, and which engines did the work.
    clock : Clock
        Tells when a run began.
    settings_in_force : callable
        Returns the settings that bear on speed, JSON-ready.
    deep_profiles : DeepProfiles, optional
        Tells which job is to be profiled in depth.
    exporter : RunExporter, optional
        Sends each run to OpenTelemetry as well.
    """

    def __init__(
        self,
        history: RunHistory,
        jobs: Engine,
        clock: Clock,
        settings_in_force: Callable[[], Mapping[str, Any]] = dict,
        *,
        deep_profiles: DeepProfiles | None = None,
        exporter: RunExporter | None = None,
    ) -> None:
        self._deep_profiles = deep_profiles
        self._exporter = exporter
        self._history = history
        self._jobs = jobs
        self._clock = clock
        self._settings_in_force = settings_in_force
        self._has_complained = False

    def settings_in_force(self) -> dict[str, Any]:
        """Return the settings that bear on speed, JSON-ready."""
        return dict(self._settings_in_force())

    def begin(self, job: ClaimedJob) -> RecordedRun:
        """Prepare to record a job."""
        return RecordedRun(self, job)

    def deep_run(self, job: ClaimedJob) -> DeepRun | None:
        """Take the order to profile this job in depth, if there is one.

        Only for a job that runs by itself: the profilers of the whole process need the main
        thread, and would show the work of others too.
        """
        if self._deep_profiles is None or current_thread() is not main_thread():
            return None
        return self._deep_profiles.claim(job)

    @contextmanager
    def open(self, job: ClaimedJob) -> Iterator[Trace]:
        """Put a pipeline in force that begins with the job's wait in the queue."""
        facts = {"job_id": job.id, "attempt": job.attempt}
        sender = continue_from(self._sender(job))
        with sender, record_pipeline(job.pipeline, facts, clock=self._clock) as trace:
            try:
                self._add_wait(trace, job)
            except Exception as error:  # noqa: BLE001  the job matters more than its record
                self.complain(job, error)
            yield trace

    def store(
        self,
        job: ClaimedJob,
        profile: PipelineProfile,
        status: RunStatus,
        *,
        deep: bool = False,
        batch_size: int = 1,
        settings: Mapping[str, Any] | None = None,
    ) -> str | None:
        """Write one run; logs the first failure and keeps quiet about the next ones.

        Parameters
        ----------
        deep : bool
            Whether profilers slowed it, so that statistics leave it out.
        batch_size : int
            Jobs that shared the work of an engine.
        settings : mapping, optional
            What it ran with; by default what is in force now.

        Returns
        -------
        str or None
            Identifier of the run; None if it was not stored.
        """
        try:
            ran_with = self.settings_in_force() if settings is None else dict(settings)
            facts: dict[str, Any] = {
                "engine": self._engines(job),
                "settings": ran_with | ({DEEP: True} if deep else {}),
                "shape_key": self.shape_key_of(job),
                "batch_size": batch_size,
            }
            run = self._history.record(
                profile, job_id=job.id, pipeline=job.pipeline, status=status, **facts
            )
            self._has_complained = False
        except Exception as error:  # noqa: BLE001  the job matters more than its record
            self.complain(job, error)
            return None
        if self._exporter:
            self._exporter.send(FinishedRun(profile, facts | {"run": run, "status": status.value}))
        return run

    def _sender(self, job: ClaimedJob) -> RemoteParent | Mapping[str, Any]:
        try:
            return trace_of(self._jobs, job.id) or {}
        except Exception as error:  # noqa: BLE001  the job matters more than its record
            self.complain(job, error)
            return {}

    def shape_key_of(self, job: ClaimedJob) -> str:
        """Name the size class of a job's work."""
        return shape_key_of(self._jobs, job)

    def _add_wait(self, trace: Trace, job: ClaimedJob) -> None:
        """Add the wait of a first attempt; when a later one began to wait is not known."""
        origin = self._origin(job)
        if origin is None or origin.started_at is None or job.attempt != 1:
            return
        waited_s = (origin.started_at - origin.created_at).total_seconds()
        if waited_s < 0:  # the clocks of two machines differ
            return
        start_ns = trace.start_ns - round(waited_s * NS)
        trace.add_span(QUEUE_SPAN, SpanKind.QUEUE, start_ns, trace.start_ns)

    def _origin(self, job: ClaimedJob) -> _Origin | None:
        query = select(JobRow.created_at, JobRow.started_at)
        with self._jobs.connect() as connection:
            row = connection.execute(query.where(JobRow.id == job.id)).first()
        return None if row is None else _Origin(*row)

    def _engines(self, job: ClaimedJob) -> dict[str, str]:
        with self._jobs.connect() as connection:
            found = connection.scalar(select(JobRow.engine).where(JobRow.id == job.id))
        return dict(found or {})

    def complain(self, job: ClaimedJob, error: Exception) -> None:
        """Say in the log what could not be recorded, once until something is again."""
        if not self._has_complained:
            log.warning("the run of job %s was not recorded", job.id, exc_info=error)
        self._has_complained = True


def settings_on_record(
    settings: Settings, changed: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the settings that bear on speed.

    Parameters
    ----------
    changed : mapping, optional
        What was changed while the server runs, see ``backend.jobs.gpu_settings``.

    >>> settings_on_record(Settings(precision="fp16"), {"policy": "resident"})["residency"]
    'resident'
    """
    found = {name: getattr(settings, name) for name in SETTINGS_ON_RECORD}
    names = {rule: setting for setting, rule in RULE_NAMES.items()}
    return found | {names.get(name, name): value for name, value in (changed or {}).items()}
