"""What lives in a worker's child process: the claim loop, the lease and the heartbeat.

The child is spawned, so that CUDA starts fresh in it, and may be killed at any time.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from typing import TYPE_CHECKING

import redis
from sqlalchemy.exc import SQLAlchemyError

from backend.catalog import Queue
from backend.errors import DeviceLost
from backend.gpu.energy import EnergyMeter, watt_hours
from backend.gpu.sampler import Sampler
from backend.gpu.telemetry import VISIBLE, device_status, has_cuda_device
from backend.jobs.claim_plan import ClaimPlanner
from backend.jobs.claims import ClaimedJob
from backend.jobs.drain_loop import DrainLoop
from backend.jobs.encode_probe import EncodeProbe
from backend.jobs.freed_memory import FreedMemory
from backend.jobs.gpu_side import GpuSide
from backend.jobs.held_jobs import HeldJob, HeldJobs
from backend.jobs.job_runner import JobRunner, device_stages, load_runner
from backend.jobs.job_sink import JobSink
from backend.jobs.live_tuning import LiveTuning, forget_by_hand, values_by_hand
from backend.jobs.lost_jobs import release_lost_jobs
from backend.jobs.marking_sink import MarkingSink
from backend.jobs.model_probe_runs import ModelProbe
from backend.jobs.owners import Owner, host_name
from backend.jobs.redis_url import connect
from backend.jobs.residency_moves import MoveWriter
from backend.jobs.run_recording import RunRecording, settings_on_record
from backend.jobs.sample_writer import SampleWriter
from backend.jobs.service import JobService
from backend.jobs.time_limit import UnwantedCalls, give_up, hand_all_back, over_time
from backend.jobs.trace_probe import TraceProbe
from backend.jobs.tuned_settings import keep_if_tuned
from backend.jobs.worker_status import write_status
from backend.profiling.exports.open_telemetry import start_export
from backend.runtime_settings import started_with
from backend.settings import Settings
from backend.units import iso

if TYPE_CHECKING:
    from backend.batch_processor import BatchProcessor

HEARTBEAT_S = 1.0
SETTLE_S = 0.05
STALE_S = 15.0

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
        self._probe = EncodeProbe(self._service, queue)
        self._model_probe = ModelProbe(self._service, queue)
        self._trace_probe = TraceProbe(self._service)
        self._clock = self._service.clock
        self._held = HeldJobs()
        self._runner: JobRunner | None = None
        self._runner_lock = threading.Lock()
        self._seq = 0
        self._has_card = has_cuda_device()
        self._status_client = connect(settings.redis_url, socket_timeout=2.0)
        self._moved = threading.Event()
        self._gpu = self._gpu_side() if queue == Queue.GPU else None
        self._samples = self._sample_writer() if self._gpu else None
        self._moves = MoveWriter(self._status_client, self._owner, self._card())
        self._sampler = Sampler(
            lambda slow: device_status(slow=slow),
            self._clock,
            lambda: self._held.first is not None,
            on_reading=self._samples.offer if self._samples else lambda status: None,
        )
        self._sampler.sample_once()
        self._sampler.start()
        self._energy = EnergyMeter(self._energy_j)
        self._recording = self._run_recording()
        self._tuning = self._live_tuning()
        self._tuning.start()
        self._drain = self._drain_loop()
        self._release_dead()
        FreedMemory().start()
        for target in (self._beat, self._renew):
            threading.Thread(target=target, name=target.__name__, daemon=True).start()

    def drain(self) -> int:
        """Claim and run jobs until none waits; returns how many ran."""
        done, last = self._drain.drain()
        if last is not None:  # nothing waits: there is time to measure
            self._probe.after(last)
            self._model_probe.after(last)
            self._trace_probe.look()
        return done

    def _drain_loop(self) -> DrainLoop:
        service = self._service
        return DrainLoop(
            ClaimPlanner(service, self._queue, device_stages, _batch_processor),
            lambda plan: service.claims.claim(self._queue, self._owner, plan.size, plan.choice),
            self._run,
            self._make_sink,
            self._held,
            _batch_processor,
            self._clock,
        )

    def _make_sink(self, job: ClaimedJob) -> JobSink:
        service = self._service
        return MarkingSink(
            job,
            service.claims,
            service.events,
            self._clock,
            lambda stage: self._mark(job, stage),
            service.artefacts,
        )

    def _run(self, held: HeldJob) -> None:
        service, job = self._service, held.job
        self._sampler.wake()
        self._energy.start(job.id)
        degraded = self._gpu.degraded_reason if self._gpu else None
        try:
            warning = f"Degraded: {degraded}." if degraded else None
            state = self._job_runner().run(job, held.sink, warning, held.member)
            keep_if_tuned(service, job, state)
        except DeviceLost as error:
            self._end_after_device_loss(job, error)
        finally:
            self._energy.stop(job.id)
            self._held.remove(held)
            self._mark(job, None)

    def _job_runner(self) -> JobRunner:
        """Return what runs jobs; made with the first one, which imports the pipelines."""
        with self._runner_lock:
            if self._runner is None:
                service = self._service
                self._runner = JobRunner(
                    service.claims,
                    service.artefacts,
                    service.events,
                    load_runner(),
                    self._measured,
                    self._recording,
                    self._tuning,
                )
            return self._runner

    def _end_after_device_loss(self, job: ClaimedJob, error: DeviceLost) -> None:
        """End this process: its context is gone for good, and a fresh child takes the job up."""
        log.critical("job %s lost the GPU (%s); the worker child ends itself", job.id, error)
        if self._gpu:
            self._gpu.note_device_loss(job.id)
        os.kill(os.getpid(), signal.SIGKILL)

    def _run_recording(self) -> RunRecording:
        service = self._service
        return RunRecording(
            service.run_history,
            service.store.engine,
            self._clock,
            self._settings_in_force,
            deep_profiles=service.deep_profiles,
            exporter=start_export(),
        )

    def _settings_in_force(self) -> dict[str, object]:
        return settings_on_record(self._settings) | self._tuning.values

    def _live_tuning(self) -> LiveTuning:
        tuning, started = self._service.tuning, started_with(self._settings)
        if self._gpu is None:
            return LiveTuning(tuning, started, self._recording.shape_key_of)
        client = self._status_client
        return LiveTuning(
            tuning,
            started,
            self._recording.shape_key_of,
            by_hand=lambda: values_by_hand(client),
            follow=self._gpu.follow_settings,
            forget=lambda setting: forget_by_hand(client, setting),
        )

    def _energy_j(self) -> float | None:
        devices = (self._sampler.latest() or {}).get("devices") or [{}]
        counter: float | None = devices[0].get("energy_j_total")
        return counter

    def _measured(self, job: ClaimedJob) -> dict[str, float]:
        """Return what was measured beside the stages; nothing where the card does not tell."""
        energy_wh = watt_hours(self._energy.stop(job.id))
        held = next((one for one in self._held.all() if one.job is job), None)
        share_wh = held.share_of(energy_wh) if held else None
        return {} if share_wh is None else {"energy_wh": round(share_wh, 4)}

    def _release_dead(self) -> None:
        """Free jobs that an earlier child left behind, before the lease would."""
        release_lost_jobs(self._service.claims, self._service.looks)

    def _gpu_side(self) -> GpuSide:
        return GpuSide(self._settings, self._owner, self._clock, self._moved.set)

    def _sample_writer(self) -> SampleWriter:
        client = connect(self._settings.redis_url, socket_timeout=2.0)
        writer = SampleWriter(client, self._owner, self._clock, self._doing)
        writer.start()
        return writer

    def _doing(self) -> tuple[str | None, str | None]:
        """Name the job that is held for longest, and its stage."""
        first = self._held.first
        return (first.job.id, first.sink.stage) if first else (None, None)

    def _mark(self, job: ClaimedJob, stage: str | None) -> None:
        if self._samples:
            self._samples.mark(job.id, stage)

    def _card(self) -> str | None:
        visible = os.environ.get(VISIBLE) or "0"
        return f"{host_name()}:{visible}" if self._uses_gpu() else None

    def _beat(self) -> None:
        """Speak every second, and soon after a model has moved."""
        pause = threading.Event()
        while True:
            self._seq += 1
            try:
                status = self.status()
                write_status(self._status_client, status)
                self._moves.publish(status)
                self._after_beat()
            except redis.RedisError as error:
                log.debug("the heartbeat waits for Redis (%s)", error)
            except Exception:  # the thread must live
                log.exception("the heartbeat could not be made")
            self._moved.wait(HEARTBEAT_S)
            pause.wait(SETTLE_S if self._moved.is_set() else 0)
            self._moved.clear()

    def _after_beat(self) -> None:
        if self._gpu is None:
            return
        if self._seq == 1:  # from now on commands arrive; what was set before may be newer
            self._gpu.follow_kept_settings()
        if self._held.first is None and self._gpu.may_try_again():
            log.warning("the GPU is tried again by a fresh process")
            os.kill(os.getpid(), signal.SIGKILL)

    def _renew(self) -> None:
        pause, unwanted = threading.Event(), UnwantedCalls(self._settings.cancel_grace_s)
        while not pause.wait(min(self._settings.lease_beat_s, self._settings.lease_s / 4)):
            held = self._held.all()
            for one in held:
                try:
                    self._service.claims.renew(one.job)
                except SQLAlchemyError:
                    log.exception("the lease of job %s could not be renewed", one.job.id)
            limit_s = self._settings.job_timeout_s
            over = over_time(held, self._clock.monotonic_s(), limit_s)
            claims, events = self._service.claims, self._service.looks
            if over and give_up(claims, events, self._held, over, limit_s):
                names = ", ".join(one.job.id for one in over)
                log.error("job %s ran longer than %.0f s, this process ends", names, limit_s)
                os.kill(os.getpid(), signal.SIGKILL)
            if unwanted.lasts(self._drain.unwanted_call(), self._clock.monotonic_s()):
                hand_all_back(claims, events, self._held)
                log.error("the call of canceled jobs does not end, so this process does")
                os.kill(os.getpid(), signal.SIGKILL)

    def status(self) -> dict[str, object]:
        """What the heartbeat says."""
        held = self._held.all()
        first = held[0] if held else None
        return {
            "queue": self._queue,
            "host": host_name(),
            "pid": os.getpid(),
            "epoch": self._owner,
            "seq": self._seq,
            "sampled_at": iso(self._clock.now()),
            "state": "busy" if first else "idle",
            "current_job": first.job.id if first else None,
            "stage": first.sink.stage if first else None,
            "progress": round(first.sink.progress, 1) if first else None,
            "current_jobs": [_told(one) for one in held],
            "mode": "gpu" if self._uses_gpu() else "cpu",
            "device": self._device(),
            **(self._gpu.status(self._sampler) if self._gpu else {}),
        }

    def _uses_gpu(self) -> bool:
        degraded = self._gpu is not None and self._gpu.degraded_reason is not None
        return self._has_card and not degraded

    def _device(self) -> dict[str, object]:
        """Return the last reading; an old one is not shown as if it were current."""
        latest, age_s = self._sampler.latest(), self._sampler.age_s()
        if latest is None or age_s is None or age_s > STALE_S:
            return {"reason_unavailable": "the device cannot be read at the moment"}
        return latest


def _batch_processor() -> BatchProcessor:
    from backend.batch_processor import get_batch_processor

    return get_batch_processor()


def _told(held: HeldJob) -> dict[str, object]:
    """Say what a job does, for the heartbeat."""
    return {
        "id": held.job.id,
        "stage": held.sink.stage,
        "progress": round(held.sink.progress, 1),
        "waits": held.is_waiting,
    }
