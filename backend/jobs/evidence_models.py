"""What was timed of the networks of a kind of work, and how many such jobs a day brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from backend.jobs.measurements import MeasuredOn, Measurements
from backend.profiling.advice.evidence import Evidence
from backend.profiling.advice.from_runs import stage_in_runs
from backend.profiling.advice.model_times import ModelTimes, with_model_times
from backend.profiling.advice.stage_evidence import StageEvidence
from backend.profiling.run_summary import RunSummary
from backend.runtime_settings import RUNTIME_SETTINGS, Value

NAME = "models"
DAY_S = 86_400.0


def with_models(
    evidence: Evidence, measurements: Measurements, runs: Sequence[RunSummary]
) -> Evidence:
    """Add what was timed of each stage's network.

    Parameters
    ----------
    evidence : Evidence
        With the stages of these runs and the peaks of the device.
    runs : sequence of RunSummary
        Runs of one kind of work with the settings of now, newest first.
    """
    if not runs:
        return evidence
    about = MeasuredOn(NAME, runs[0].pipeline, runs[0].shape_key, runs[0].device)
    found = measurements.newest(about)
    if found is not None and not timed_with(found.document, runs[0].settings):
        return evidence
    times = (found.document.get("stages") or {}) if found else {}
    stages = [_with_times(evidence, stage, runs, times) for stage in evidence.stages]
    return replace(evidence, stages=tuple(stages))


def network_settings(settings: Mapping[str, Any]) -> dict[str, Value]:
    """Pick those of a run's settings that decide how its networks are called."""
    return {
        name: settings[name]
        for name, setting in RUNTIME_SETTINGS.items()
        if setting.changes_rounding and name in settings
    }


def timed_with(document: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Whether networks were timed with the settings of a run: else they were called otherwise."""
    now = network_settings(settings)
    return all(
        now.get(name, value) == value for name, value in (document.get("settings") or {}).items()
    )


def jobs_per_day(runs: Sequence[RunSummary]) -> float | None:
    """Tell how many jobs of one kind a day brings at least.

    Parameters
    ----------
    runs : sequence of RunSummary
        Newest first, one for each job.

    Returns
    -------
    float or None
        Over the time that the runs span, which counts as a day where it is shorter; None without
        runs.
    """
    if not runs:
        return None
    span_s = (runs[0].started_at - runs[-1].started_at).total_seconds()
    return len(runs) * DAY_S / max(DAY_S, span_s)


def _with_times(
    evidence: Evidence,
    stage: StageEvidence,
    runs: Sequence[RunSummary],
    times: Mapping[str, Mapping[str, Any]],
) -> StageEvidence:
    found = times.get(stage.name)
    if found is None:
        return stage
    of_stage = stage_in_runs(runs, stage.name)
    timed = ModelTimes.from_document(found)
    return with_model_times(evidence, stage, of_stage, timed, jobs_per_day(runs))
