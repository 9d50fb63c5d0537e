"""What lives in a worker's child process: the claim loop, the lease and the heartbeat.

The child is spawned, so that CUDA starts fresh in it, and may be killed at any time.
"""

from __future__ import annotations

import logging
import os
import platform
import signal
import threading

import redis
from sqlalchemy.exc import SQLAlchemyError

from backend.errors import JobTimedOut
from backend.gpu.telemetry import device_status, has_cuda_device
from backend.jobs.claims import ClaimedJob
from backend.jobs.job_runner import JobRunner, load_runner
from backend.jobs.job_sink import JobSink
from backend.jobs.owners import Owner
from backend.jobs.redis_url import connect
from backend.jobs.service import JobService
from backend.jobs.worker_status import write_status
from backend.settings import Settings
from backend.units import iso

HEARTBEAT_S = 1.0

log = logging.getLogger(__name__)


class WorkerChild:
    """One child process of a worker.

    Parameters
    ----------
    settings : Settings
        Lease, heartbeat, time limit, data folder.
    queue : str
        Which jobs it takes.
    """

    def __init__(self, settings: Settings, queue: str) -> None:
        self._settings = settings
        self._queue = queue
        self._owner = str(Owner.this_process())
        self._service = JobService(settings)
        self._clock = self._service.clock
        self._job: ClaimedJob | None = None
        self._sink: JobSink | None = None
        self._job_started_s = 0.0
        self._runner: JobRunner | None = None
        self._seq = 0
        self._status_client = connect(settings.redis_url, socket_timeout=2.0)
        self._release_dead()
        for target in (self._beat, self._renew):
            threading.Thread(target=target, name=target.__name__, daemon=True).start()

    def drain(self) -> int:
        """Claim and run jobs until none waits; returns how many ran."""
        done = 0
        while claimed := self._service.claims.claim(self._queue, self._owner, max_n=1):
            self._run(claimed[0])
            done += 1
        return done

    def _run(self, job: ClaimedJob) -> None:
        service = self._service
        if self._runner is None:
            self._runner = JobRunner(
                service.claims, service.artefacts, service.events, load_runner()
            )
        self._sink = JobSink(job, service.claims, service.events, self._clock)
        self._job_started_s = self._clock.monotonic_s()
        self._job = job
        try:
            self._runner.run(job, self._sink)
        finally:
            self._job = self._sink = None

    def _release_dead(self) -> None:
        """Free jobs that an earlier child left behind, before the lease would."""
        for job in self._service.claims.release_lost():
            log.warning("job %s was left by a dead worker and is %s", job.job_id, job.status)

    def _beat(self) -> None:
        pause = threading.Event()
        while not pause.wait(HEARTBEAT_S):
            self._seq += 1
            try:
                write_status(self._status_client, self.status())
            except redis.RedisError as error:
                log.debug("the heartbeat waits for Redis (%s)", error)

    def _renew(self) -> None:
        pause = threading.Event()
        while not pause.wait(min(self._settings.lease_beat_s, self._settings.lease_s / 4)):
            job = self._job
            if job is None:
                continue
            try:
                self._service.claims.renew(self._owner)
            except SQLAlchemyError:
                log.exception("the lease of job %s could not be renewed", job.id)
            if self._clock.monotonic_s() - self._job_started_s > self._settings.job_timeout_s:
                self._give_up(job)

    def _give_up(self, job: ClaimedJob) -> None:
        """End a job that runs too long; the only sure way is to end this process."""
        limit_s = self._settings.job_timeout_s
        self._service.claims.fail(job, JobTimedOut(f"The job ran longer than {limit_s:.0f} s."))
        log.error("job %s ran longer than %.0f s, the worker child ends itself", job.id, limit_s)
        os.kill(os.getpid(), signal.SIGKILL)

    def status(self) -> dict[str, object]:
        """What the heartbeat says."""
        job, sink = self._job, self._sink
        return {
            "queue": self._queue,
            "host": platform.node(),
            "pid": os.getpid(),
            "epoch": self._owner,
            "seq": self._seq,
            "sampled_at": iso(self._clock.now()),
            "state": "busy" if job else "idle",
            "current_job": job.id if job else None,
            "stage": sink.stage if sink else None,
            "progress": round(sink.progress, 1) if sink else None,
            "mode": "gpu" if has_cuda_device() else "cpu",
            "device": device_status(),
        }
