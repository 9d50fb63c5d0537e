"""Everything the running server knows about one kind of work, for the rules of advice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import redis

from backend.catalog import PipelineName, Queue
from backend.jobs.evidence_batches import batch_figures
from backend.jobs.evidence_device import device_peaks, gpu_samples
from backend.jobs.evidence_encode import with_encoding
from backend.jobs.evidence_profiles import allocator_figures, cache_clearing_figures
from backend.jobs.evidence_queue import queue_figures
from backend.jobs.evidence_residency import residency_figures
from backend.jobs.gpu_samples import DeviceHistory, find_streams, read_streams
from backend.jobs.measurements import Measurements
from backend.jobs.residency_moves import read_moves
from backend.jobs.service import JobService
from backend.jobs.settings_in_force import ran_with, settings_in_force
from backend.profiling.advice.evidence import Evidence
from backend.profiling.advice.from_runs import evidence_of_runs
from backend.profiling.history import RunFilter
from backend.profiling.run_summary import RunStatus, RunSummary
from backend.profiling.spans import PipelineProfile
from backend.runtime_settings import Value

RUNS = 200
# Whole profiles are large, and what they tell of memory does not change from run to run.
PROFILES = 20
SAMPLES_S = 3600.0


@dataclass(frozen=True)
class WorkRuns:
    """Stored runs that bear on one kind of work.

    Parameters
    ----------
    alike : tuple of RunSummary
        Those that did this work with the engines and settings of now, newest first.
    all : tuple of RunSummary
        The last of any work, whatever became of them, newest first.
    profiles : tuple of PipelineProfile
        Of the newest that did this work on a GPU, failed ones among them: they tell of memory.
    """

    alike: tuple[RunSummary, ...]
    all: tuple[RunSummary, ...]
    profiles: tuple[PipelineProfile, ...] = ()


def gather_evidence(service: JobService, pipeline: str, shape_key: str) -> Evidence:
    """Collect what is known of a kind of work; what is not known is None."""
    settings = settings_in_force(service)
    runs = runs_of(service, pipeline, shape_key, settings)
    measurements = Measurements(service.store.engine, service.clock)
    return evidence_from(service, pipeline, runs, settings, measurements)


def most_used_work(service: JobService, pipeline: str | None = None) -> tuple[str, str] | None:
    """Return pipeline and shape key of the work that most of the last runs did."""
    wanted = RunFilter(pipeline=pipeline, status=RunStatus.OK, limit=RUNS)
    runs = service.run_history.runs(wanted)
    counts = Counter((r.pipeline, r.shape_key) for r in runs if r.pipeline != PipelineName.TUNE)
    return counts.most_common(1)[0][0] if counts else None


def runs_of(
    service: JobService, pipeline: str, shape_key: str, settings: Mapping[str, Value]
) -> WorkRuns:
    """Read the stored runs that bear on a kind of work under these settings."""
    history = service.run_history
    done = history.runs(RunFilter(pipeline, shape_key, RunStatus.OK, limit=RUNS))
    alike = [run for run in done if run.engine == done[0].engine and ran_with(run, settings)]
    newest = history.runs(RunFilter(pipeline, shape_key, limit=PROFILES))
    on_gpu = (history.run(run.run) for run in newest if run.device is not None)
    profiles = [PipelineProfile.from_document(found.profile) for found in on_gpu if found]
    return WorkRuns(tuple(alike), tuple(history.runs(RunFilter(limit=RUNS))), tuple(profiles))


def evidence_from(
    service: JobService,
    pipeline: str,
    runs: WorkRuns,
    settings: Mapping[str, Value],
    measurements: Measurements,
) -> Evidence:
    """Set stored runs beside what workers tell now and what was measured."""
    beats = [beat for beat in service.worker_status() if beat.get("queue") == Queue.GPU]
    devices = _devices(beats)
    samples = gpu_samples(_histories(service), devices)
    queue = queue_figures(pipeline, runs.all, len(beats) or None)
    found = evidence_of_runs([run.to_document() for run in runs.alike])
    newest = runs.alike[0] if runs.alike else None
    return replace(
        found,
        stages=with_encoding(found.stages, measurements, runs.alike, settings),
        settings=dict(settings),
        peaks=device_peaks(devices, newest.device if newest else None),
        gpu=samples,
        residency=residency_figures(beats, read_moves(service.events.client), runs.alike, queue),
        queue=queue,
        batch=batch_figures(runs.alike),
        allocator=allocator_figures(runs.profiles, samples.total_mb if samples else None),
        cache_clearing=cache_clearing_figures(runs.profiles),
    )


def _devices(beats: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [d for beat in beats for d in (beat.get("device") or {}).get("devices") or []]


def _histories(service: JobService) -> list[DeviceHistory]:
    """Read the last hour of all cards; none while Redis is away."""
    client, now_s = service.events.client, service.clock.now().timestamp()
    begin = str(round(1000 * (now_s - SAMPLES_S)))
    try:
        return [h for h, _ in read_streams(client, dict.fromkeys(find_streams(client), begin))]
    except redis.RedisError:
        return []
