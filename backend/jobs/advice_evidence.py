"""Everything the running server knows about one kind of work, for the rules of advice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import redis

from backend.catalog import PipelineName, Queue
from backend.jobs.evidence_batches import batch_figures
from backend.jobs.evidence_copies import copy_figures
from backend.jobs.evidence_device import device_peaks, gpu_samples
from backend.jobs.evidence_encode import with_encoding
from backend.jobs.evidence_models import with_models
from backend.jobs.evidence_profiles import allocator_figures, cache_clearing_figures
from backend.jobs.evidence_queue import queue_figures, queue_of
from backend.jobs.evidence_residency import residency_figures
from backend.jobs.evidence_traces import with_traces
from backend.jobs.gpu_samples import DeviceHistory, find_streams, read_streams
from backend.jobs.measurements import Measurements
from backend.jobs.residency_moves import read_moves
from backend.jobs.service import JobService
from backend.jobs.settings_in_force import ran_with, settings_in_force
from backend.profiling.advice.evidence import Evidence
from backend.profiling.advice.from_runs import evidence_of_runs
from backend.profiling.history import RunFilter, RunHistory
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
    profiles : mapping of str to PipelineProfile
        Of the newest that did this work on a GPU, by run, failed ones among them: they tell of
        memory.
    """

    alike: tuple[RunSummary, ...]
    all: tuple[RunSummary, ...]
    profiles: Mapping[str, PipelineProfile] = field(default_factory=dict)


NO_RUNS = WorkRuns((), ())
# Runs that look for settings, and answers of a moment: nobody wants advice on them.
ASIDE = frozenset({PipelineName.TUNE, PipelineName.PART_AT_POINT})


def gather_evidence(service: JobService, pipeline: str, shape_key: str) -> Evidence:
    """Collect what is known of a kind of work; what is not known is None."""
    settings = settings_in_force(service, pipeline)
    runs = runs_of(service, pipeline, shape_key, settings)
    measurements = Measurements(service.store.engine, service.clock)
    return evidence_from(service, pipeline, runs, settings, measurements)


def most_used_work(service: JobService, pipeline: str | None = None) -> tuple[str, str] | None:
    """Return pipeline and shape key of the work that most of the last runs did."""
    wanted = RunFilter(pipeline=pipeline, status=RunStatus.OK, limit=RUNS)
    runs = service.run_history.runs(wanted)
    counts = Counter((r.pipeline, r.shape_key) for r in runs if r.pipeline not in ASIDE)
    return counts.most_common(1)[0][0] if counts else None


def runs_of(
    service: JobService,
    pipeline: str,
    shape_key: str,
    settings: Mapping[str, Value],
    known: WorkRuns = NO_RUNS,
) -> WorkRuns:
    """Read the stored runs that bear on a kind of work under these settings.

    Parameters
    ----------
    known : WorkRuns, optional
        What was read before; its profiles are not read again.
    """
    history = service.run_history
    done = history.runs(RunFilter(pipeline, shape_key, RunStatus.OK, limit=RUNS))
    alike = [run for run in done if run.engine == done[0].engine and ran_with(run, settings)]
    newest = history.runs(RunFilter(pipeline, shape_key, limit=PROFILES))
    on_gpu = [run.run for run in newest if run.device is not None]
    found = {run: known.profiles.get(run) or _profile(history, run) for run in on_gpu}
    return WorkRuns(
        tuple(alike),
        # A job that was profiled in depth kept its worker busy like any other.
        tuple(history.runs(RunFilter(limit=RUNS, with_deep=True))),
        {run: profile for run, profile in found.items() if profile is not None},
    )


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
    found = evidence_of_runs(runs.alike)
    profiles = tuple(runs.profiles.values())
    newest = runs.alike[0] if runs.alike else None
    moves, of_queue = read_moves(service.looks.client), _of_gpu_queue(pipeline, runs)
    stages = with_encoding(found.stages, measurements, runs.alike, settings)
    evidence = replace(
        found,
        stages=with_traces(stages, measurements, runs.alike),
        settings=dict(settings),
        peaks=device_peaks(devices, newest.device if newest else None),
        gpu=samples,
        copies=copy_figures(beats, moves, of_queue),
        residency=residency_figures(beats, moves, runs.alike, of_queue, queue),
        queue=queue,
        batch=batch_figures(runs.alike),
        allocator=allocator_figures(profiles, samples.total_mb if samples else None),
        cache_clearing=cache_clearing_figures(profiles),
    )
    return with_models(evidence, measurements, runs.alike)


def _of_gpu_queue(pipeline: str, runs: WorkRuns) -> list[RunSummary]:
    """Pick the runs that moved models on a card; none for work that the CPU workers do."""
    if queue_of(pipeline) != Queue.GPU:
        return []
    return [run for run in runs.all if queue_of(run.pipeline) == Queue.GPU]


def _profile(history: RunHistory, run: str) -> PipelineProfile | None:
    stored = history.run(run)
    return PipelineProfile.from_document(stored.profile) if stored else None


def _devices(beats: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [d for beat in beats for d in (beat.get("device") or {}).get("devices") or []]


def _histories(service: JobService) -> list[DeviceHistory]:
    """Read the last hour of all cards; none while Redis is away."""
    client, now_s = service.looks.client, service.clock.now().timestamp()
    begin = str(round(1000 * (now_s - SAMPLES_S)))
    try:
        return [h for h, _ in read_streams(client, dict.fromkeys(find_streams(client), begin))]
    except redis.RedisError:
        return []
