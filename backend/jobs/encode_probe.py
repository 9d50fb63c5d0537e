"""Finds out, while a worker has nothing else to do, what its files would cost at other levels."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from backend.jobs.after_job import run_of, somebody_waits
from backend.jobs.claims import ClaimedJob
from backend.jobs.encode_timing import ROUNDS, LevelTimes, read_payloads, time_levels
from backend.jobs.measurements import MeasuredOn, Measurement, Measurements
from backend.jobs.service import JobService
from backend.jobs.settings_in_force import settings_in_force
from backend.profiling.run_summary import StoredRun
from backend.profiling.self_time import covered_ns
from backend.profiling.spans import PipelineProfile, Span, SpanKind
from backend.runtime_settings import RUNTIME_SETTINGS, SettingName

NAME = "encode"
STAGE = "mesh_export"
WRITERS = frozenset({"write_obj", "write_thumbnail"})
ARCHIVE, PICTURES = "model_obj.zip", ("thumbnail.png",)
WRITING_SHARE = 0.10
KEPT = timedelta(days=1)
# What took too long is not tried again after every job.
PAUSE_S = 60.0

log = logging.getLogger(__name__)


class EncodeProbe:
    """Measures after a job, once a day for each kind of work, and gives way to any job.

    Parameters
    ----------
    service : JobService
        Jobs, their files and their runs.
    queue : str
        The worker's own: a job that waits in it ends the measurement.
    """

    def __init__(self, service: JobService, queue: str) -> None:
        self._service = service
        self._queue = queue
        self._measurements = Measurements(service.store.engine, service.clock)
        self._slow_at_s: dict[MeasuredOn, float] = {}

    def after(self, job: ClaimedJob) -> LevelTimes | None:
        """Measure the files of a job that has just ended; no failure of it reaches the caller.

        Returns
        -------
        LevelTimes or None
            What was measured and stored; None where there was no need or no time.
        """
        try:
            return self._measure(job)
        except Exception:  # a measurement that nobody asked for must not end the worker
            log.warning("the files of job %s were not measured", job.id, exc_info=True)
            return None

    def _measure(self, job: ClaimedJob) -> LevelTimes | None:
        run = run_of(self._service, job)
        if run is None or writing_share(run) < WRITING_SHARE or self._somebody_waits():
            return None
        summary = run.summary
        about = MeasuredOn(NAME, summary.pipeline, summary.shape_key, summary.device)
        level = level_in_force(settings_in_force(self._service, job.pipeline))
        if self._is_known(about, level) or self._took_too_long(about):
            return None
        archive = self._path(job, ARCHIVE)
        if archive is None:
            return None
        pictures = [path for name in PICTURES if (path := self._path(job, name)) is not None]
        payloads = read_payloads(archive, pictures)
        times = time_levels(payloads, _levels(level), self._service.clock, self._somebody_waits)
        if times is not None:
            self._measurements.keep(about, _document(times), ROUNDS)
        elif not self._somebody_waits():
            self._slow_at_s[about] = self._service.clock.monotonic_s()
        return times

    def _is_known(self, about: MeasuredOn, level: int) -> bool:
        found = self._measurements.newest(about)
        if found is None or level not in read_times(found).seconds:
            return False
        return self._service.clock.now() - found.measured_at < KEPT

    def _took_too_long(self, about: MeasuredOn) -> bool:
        """Whether it did within the last minute."""
        slow_at_s = self._slow_at_s.get(about)
        if slow_at_s is None:
            return False
        return self._service.clock.monotonic_s() - slow_at_s < PAUSE_S

    def _path(self, job: ClaimedJob, name: str) -> Path | None:
        return self._service.artefacts.output_path(job.id, job.attempt, name)

    def _somebody_waits(self) -> bool:
        return somebody_waits(self._service, self._queue)


def writing_share(run: StoredRun) -> float:
    """Return the share of a run's time in which files were compressed and written."""
    profile = PipelineProfile.from_document(run.profile)
    if not profile.total_ns:
        return 0.0
    return covered_ns(map(profile.interval, _writers(profile))) / profile.total_ns


def level_in_force(settings: Mapping[str, Any]) -> int:
    """Return the level that the next job compresses at."""
    return int(settings[SettingName.EXPORT_COMPRESSION])


def read_times(found: Measurement) -> LevelTimes:
    """Read what was stored."""
    rows = found.document["levels"]
    return LevelTimes(
        seconds={row["level"]: tuple(row["seconds"]) for row in rows},
        size_bytes={row["level"]: row["size_bytes"] for row in rows},
        sampled=found.document["sampled"],
    )


def _writers(profile: PipelineProfile) -> Iterator[Span]:
    names = {span.id: span.name for span in profile.spans}
    for span in profile.spans:
        inside = span.parent is not None and names.get(span.parent) == STAGE
        if inside and span.kind is SpanKind.IO and span.name in WRITERS:
            yield span


def _levels(in_force: int) -> list[int]:
    choices = RUNTIME_SETTINGS[SettingName.EXPORT_COMPRESSION].choices
    return sorted({in_force, *(choice for choice in choices if isinstance(choice, int))})


def _document(times: LevelTimes) -> dict[str, Any]:
    rows = [
        {"level": level, "seconds": [*seconds], "size_bytes": times.size_bytes[level]}
        for level, seconds in times.seconds.items()
    ]
    return {"levels": rows, "sampled": times.sampled}
