"""What the web, the command line and the tests use: store, files, events and bell as one."""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from backend.catalog import (
    MAX_SEED,
    PipelineName,
    SpeechParams,
    batch_key,
    cost_key,
    parse_params,
    pipeline_spec,
)
from backend.errors import FilesExpired, JobNotFinished, MeshkilnError
from backend.jobs.access.access import Access
from backend.jobs.access.job_owners import stored_input_bytes
from backend.jobs.access.viewer import check_admin
from backend.jobs.artefacts import open_artefacts
from backend.jobs.batches.service import BatchService
from backend.jobs.claims import Claims
from backend.jobs.deep_profiles import DeepProfiles
from backend.jobs.doorbell import Doorbell, celery_app
from backend.jobs.event_hub import EventHub
from backend.jobs.events import EventLog
from backend.jobs.mesh_size import cost_key_again
from backend.jobs.quick_redis import QuickRedis
from backend.jobs.reconciler import Reconciler
from backend.jobs.records import JobRecord
from backend.jobs.states import EventType, JobState, Priority
from backend.jobs.store import JobStore, NewJob
from backend.jobs.trace_links import trace_here
from backend.jobs.tuning_store import TuningStore
from backend.jobs.webhooks.service import Webhooks
from backend.jobs.worker_status import read_statuses
from backend.outbound.client import OutboundClient
from backend.profiling.history import RunHistory
from backend.profiling.trace_headers import RemoteParent, write_headers
from backend.runtime_settings import started_with
from backend.settings import Settings
from backend.speech_rules import check_speech
from backend.units import Clock, SystemClock, new_id

ADMIN_PIPELINES = frozenset({PipelineName.TUNE})
BROKER_UNAVAILABLE = "broker-unavailable"
NO_REDIS = "redis://127.0.0.1:1/0"  # nothing answers there; used when no server was configured

log = logging.getLogger(__name__)


class JobService:
    """Jobs from submit to deletion.

    Parameters
    ----------
    settings : Settings
        Where data lie and how long they are kept.
    clock : Clock
        Source of time.
    """

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        redis_url = settings.redis_url or NO_REDIS
        self.store = JobStore(
            settings.sql_url,
            self.clock,
            max_attempts=settings.max_attempts,
            max_queued_jobs=settings.max_queued_jobs,
        )
        self.access = Access(self.store.engine, settings, self.clock)
        self.run_history = RunHistory(self.store.engine, self.clock)
        self.tuning = TuningStore(self.store.engine, self.clock, started_with(settings))
        self.deep_profiles = DeepProfiles(settings.data_dir / "deep", self.store)
        self.claims = Claims(self.store, settings.lease_s)
        self.artefacts = open_artefacts(settings)
        self.events = EventLog(redis_url, self.clock)
        # The same streams for requests, which would rather not know than wait.
        self.looks = EventLog(redis_url, self.clock, QuickRedis.to(redis_url))
        self.hub = EventHub(self.events, redis_url)
        self.doorbell = Doorbell(celery_app(redis_url))
        self.outbound = OutboundClient()
        self.webhooks = Webhooks(
            settings, self.store, lambda batch_id: self.batches.document(batch_id), self.outbound
        )
        self.batches = BatchService(self)
        self._reconciler: Reconciler | None = None

    def close(self) -> None:
        """End all threads and connections."""
        if self._reconciler:
            self._reconciler.stop()
        self.webhooks.courier.stop()
        self.hub.close()
        self.events.close()
        self.looks.close()
        self.store.close()

    def start_background(self) -> None:
        """Start the reconciler and the courier of webhooks; the web process does."""
        self._reconciler = Reconciler(
            self.settings, self.store, self.claims, self.artefacts, self.events, self.doorbell
        )
        self._reconciler.start()
        self.webhooks.courier.start()

    def prepare(
        self, pipeline: str, raw_params: Mapping[str, Any], name: str, **options: Any
    ) -> NewJob:
        """Validate parameters and draw the seed; raises InvalidParameter, TranscriptMissing.

        ``options`` are further fields of NewJob. AdminOnly is raised for a pipeline that changes
        the server when the key of the request may not.
        """
        spec = pipeline_spec(pipeline)
        if pipeline in ADMIN_PIPELINES:
            check_admin()
        raw = dict(raw_params)
        if "seed" in spec.params.model_fields and raw.get("seed") in (None, ""):
            raw["seed"] = secrets.randbelow(MAX_SEED + 1)
        params = parse_params(pipeline, raw)
        if isinstance(params, SpeechParams):
            check_speech(params, can_transcribe=self.settings.auto_transcribe)
        return NewJob(
            id=new_id(self.clock.now()),
            pipeline=pipeline,
            name=name,
            params=params.model_dump(mode="json"),
            queue=spec.queue.value,
            inputs=(),
            stages=tuple(spec.stages),
            batch_key=batch_key(pipeline, params),
            cost_key=cost_key(pipeline, params),
            listed=spec.listed,
            **options,
        )

    def submit(self, new: NewJob, files: Mapping[str, bytes]) -> tuple[JobRecord, bool, list[str]]:
        """Store files and row, then ring.

        Parameters
        ----------
        new : NewJob
            From ``prepare``.
        files : mapping of str to bytes
            Uploads by name, such as ``image.png``.

        Returns
        -------
        tuple
            The job, whether it is new (False: the idempotency key had been used), and warnings.

        Raises
        ------
        StorageFull, QueueFull, IdempotencyKeyReused
        """
        for name, data in files.items():
            self.artefacts.put_input(new.id, name, data)
        size_bytes = sum(map(len, files.values()))
        return self._insert(replace(new, inputs=tuple(files), input_bytes=size_bytes))

    def submit_given(
        self, new: NewJob, files: Mapping[str, Path], sent: Mapping[str, bytes] | None = None
    ) -> tuple[JobRecord, bool, list[str]]:
        """Store a job whose uploads are files of another one, then ring; see ``submit``.

        What is given so is counted where it was sent or made, not once more. ``sent`` are further
        files by name, which were sent for this job.
        """
        sent = sent or {}
        for name, path in files.items():
            self.artefacts.give_input(new.id, name, path)
        for name, data in sent.items():
            self.artefacts.put_input(new.id, name, data)
        size_bytes = sum(map(len, sent.values()))
        return self._insert(replace(new, inputs=(*files, *sent), input_bytes=size_bytes))

    def cancel(self, job_id: str) -> JobRecord:
        """Ask a job to stop; raises NotFound, JobFinished."""
        job = self.store.request_cancel(job_id)
        self.access.note_on_job("job.canceled", job_id)
        self.announce_stop(job.id, job.status, job.attempt)
        return job

    def retry(self, job_id: str, params: Mapping[str, Any] | None = None) -> JobRecord:
        """Run an ended job again as a new one; raises JobNotFinished, FilesExpired.

        ``params`` replace single parameters of the old job; the seed stays unless given.
        """
        old = self.store.get(job_id)
        if not old.status.is_terminal:
            raise JobNotFinished(f"The job is {old.status}.")
        merged = {**old.params, **(params or {})}
        new = self.prepare(
            old.pipeline,
            merged,
            old.name,
            retry_of=old.id,
            priority=old.priority,
            webhook_url=self.webhooks.url_of(old.id),
        )
        new = replace(new, cost_key=cost_key_again(self.store.engine, old.id, new.cost_key))
        if not self.artefacts.copy_inputs(old.id, new.id, old.inputs):
            raise FilesExpired("What this job was given has been removed.")
        size_bytes = stored_input_bytes(self.store.engine, old.id)
        job, _, _ = self._insert(replace(new, inputs=old.inputs, input_bytes=size_bytes))
        return job

    def delete(self, job_id: str) -> None:
        """Hide a job at once; its files go when nothing uses them. Raises NotFound."""
        state = self.store.hide(job_id)
        self.access.note_on_job("job.deleted", job_id)
        if state.is_terminal:
            self.artefacts.remove(job_id)
        elif state is JobState.CANCELING:
            self.looks.set_cancel_flag(job_id)

    def rename(self, job_id: str, name: str) -> JobRecord:
        """Give a job another name; raises NotFound."""
        return self.store.rename(job_id, name)

    def worker_status(self) -> list[dict[str, Any]]:
        """Heartbeats of the last five seconds; [] means no worker runs."""
        return read_statuses(self.looks.client)

    def announce(self, jobs: Sequence[NewJob]) -> list[str]:
        """Tell listeners and workers of stored jobs; returns warnings for whoever sent them."""
        data = {"status": JobState.QUEUED.value, "queue_position": None, "attempt": 0}
        told = all(self.looks.publish(job.id, EventType.STATE, data) for job in jobs)
        # Whoever submits does not wait twice for a Redis that hangs; the reconciler rings.
        waiting = Counter(job.queue for job in jobs)
        traces = {job.queue: job.trace for job in jobs}
        rang = told and all(
            self.ring(queue, count, traces[queue]) for queue, count in waiting.items()
        )
        return [] if rang else [BROKER_UNAVAILABLE]

    def ring(self, queue: str, jobs: int = 1, trace: RemoteParent | None = None) -> bool:
        """Wake as many workers of a queue as there are jobs for; False when Redis is away."""
        headers = write_headers(trace) if trace else None
        bells = 1
        if jobs > 1:
            workers = sum(status.get("queue") == queue for status in self.worker_status())
            bells = max(1, min(jobs, workers))
        return all(self.doorbell.ring(queue, headers) for _ in range(bells))

    def announce_stop(self, job_id: str, status: JobState, attempt: int) -> None:
        """Tell the worker and the listeners of a job that it was asked to stop, or has."""
        if status is JobState.CANCELING:
            self.looks.set_cancel_flag(job_id)
        data = {"status": status.value, "attempt": attempt}
        self.looks.publish(job_id, EventType.STATE, data)
        if status.is_terminal:
            self.looks.publish(job_id, EventType.END, {"status": status.value})

    def _insert(self, new: NewJob) -> tuple[JobRecord, bool, list[str]]:
        new = replace(new, trace=trace_here())
        try:
            job, is_new = self.store.submit(new)
        except MeshkilnError:  # of any other error nobody knows whether the row was stored
            self.artefacts.remove(new.id)
            raise
        if not is_new:
            self.artefacts.remove(new.id)
            return self.store.get(job.id), False, []
        return self.store.get(job.id), True, self.announce([new])


def priority_of(name: str) -> Priority:
    """Read a priority by its name in the contract."""
    return Priority[name.upper()]
