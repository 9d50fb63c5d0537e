"""What the files of a job cost at the level in force, beside the fastest level measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from backend.jobs.encode_probe import NAME, STAGE, level_in_force, read_times
from backend.jobs.measurements import MeasuredOn, Measurements
from backend.profiling.advice.stage_evidence import EncodeFigures, StageEvidence
from backend.profiling.run_summary import RunSummary
from backend.runtime_settings import SettingName


def with_encoding(
    stages: Sequence[StageEvidence],
    measurements: Measurements,
    runs: Sequence[RunSummary],
    settings: Mapping[str, Any],
) -> tuple[StageEvidence, ...]:
    """Add what was measured to the stage that writes the files.

    Parameters
    ----------
    runs : sequence of RunSummary
        Runs of one kind of work, newest first.
    """
    figures = _figures(measurements, runs, settings)
    if figures is None:
        return tuple(stages)
    return tuple(
        replace(stage, encode=figures) if stage.name == STAGE else stage for stage in stages
    )


def _figures(
    measurements: Measurements, runs: Sequence[RunSummary], settings: Mapping[str, Any]
) -> EncodeFigures | None:
    if not runs or settings.get(SettingName.EXPORT_COMPRESSION) is None:
        return None
    about = MeasuredOn(NAME, runs[0].pipeline, runs[0].shape_key, runs[0].device)
    found = measurements.newest(about)
    level = level_in_force(settings)
    if found is None or level not in (times := read_times(found)).seconds:
        return None
    middle_s = {one: median(seconds) for one, seconds in times.seconds.items()}
    fastest = min(middle_s, key=lambda one: middle_s[one])
    rounds = zip(times.seconds[level], times.seconds[fastest], strict=True)
    saved_s = [now_s - faster_s for now_s, faster_s in rounds]
    return EncodeFigures(
        SettingName.EXPORT_COMPRESSION.value,
        level,
        fastest,
        now_s=middle_s[level],
        faster_s=middle_s[fastest],
        saved_low_s=min(saved_s),
        saved_high_s=max(saved_s),
        now_bytes=times.size_bytes[level],
        faster_bytes=times.size_bytes[fastest],
        is_alone=settings.get(SettingName.EXPORT_THREADS) == 1,
    )
