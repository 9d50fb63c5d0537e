"""The public face of ``backend.profiling``: pipelines, stages, bottlenecks, advice, report.

``python -m backend.performance_profiler`` shows it on a simulated run.
"""

from __future__ import annotations

import functools
import json
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from backend.errors import InvalidParameter
from backend.profiling import recorder
from backend.profiling.bottlenecks import (
    THRESHOLD_PERCENT,
    Bottleneck,
    Severity,
    StageShare,
    rank,
    stage_shares,
)
from backend.profiling.spans import PipelineProfile, SpanKind
from backend.profiling.statistics import summarise
from backend.settings import Settings
from backend.units import Clock, SystemClock, iso

KEPT_PROFILES, KEPT_DURATIONS, REPORTED_PROFILES = 50, 1000, 10
NO_DATA = "No pipeline has been profiled yet"
MIXED_PRECISION = "→ Enable mixed precision (FP16) for faster inference"
FULL_PRECISION = "fp32"

P = ParamSpec("P")
R = TypeVar("R")


def configured_settings() -> dict[str, Any]:
    """Settings in force that advice looks at."""
    return {"precision": Settings.from_env().precision}


class PerformanceProfiler:
    """Collects the profiles of pipelines and says where their time goes.

    Pipelines in different threads and tasks do not see each other.

    Parameters
    ----------
    clock : Clock, optional
        Measures the stages if given; otherwise the processor's clock in nanoseconds does.
    settings_in_force : callable
        Returns the settings that advice refers to; a pipeline's metadata goes first.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        settings_in_force: Callable[[], Mapping[str, Any]] = configured_settings,
    ) -> None:
        self._clock = clock or SystemClock()
        self._options: dict[str, Any] = {"clock": self._clock}
        if clock is not None:
            self._options["clock_ns"] = functools.partial(_clock_ns, clock)
        self._settings_in_force = settings_in_force
        self._lock = threading.Lock()
        self._profiles: deque[PipelineProfile] = deque(maxlen=KEPT_PROFILES)
        self._shares: deque[dict[str, StageShare]] = deque(maxlen=KEPT_PROFILES)
        self._durations_s: deque[float] = deque(maxlen=KEPT_DURATIONS)
        self._total = 0

    # Recording

    def start_pipeline(self, pipeline_id: str, metadata: Mapping[str, Any] | None = None) -> None:
        """Begin a pipeline here; one that runs already continues when this one has ended."""
        recorder.start_pipeline(pipeline_id, metadata=metadata, **self._options)

    def profile_stage(
        self, name: str, kind: SpanKind = SpanKind.CPU
    ) -> AbstractContextManager[None]:
        """Measure the block as a stage of the pipeline that runs here."""
        return recorder.profile_stage(name, kind)

    def end_pipeline(self) -> PipelineProfile | None:
        """End the pipeline that runs here and return its profile; None when there is none."""
        profile = recorder.end_pipeline()
        if profile is not None:
            self.collect(profile)
        return profile

    def profile_function(
        self, name: str | None = None, kind: SpanKind = SpanKind.CPU
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorate a function so that each call is a stage, named as the function by default."""

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            stage = name or function.__name__

            @functools.wraps(function)
            def measured(*args: P.args, **kwargs: P.kwargs) -> R:
                with recorder.profile_stage(stage, kind):
                    return function(*args, **kwargs)

            return measured

        return decorate

    def collect(self, profile: PipelineProfile) -> None:
        """Take the profile of a pipeline that was recorded elsewhere; once, if told twice."""
        shares = stage_shares(profile)
        with self._lock:
            if any(profile is known for known in self._profiles):
                return
            self._profiles.append(profile)
            self._shares.append(shares)
            self._durations_s.append(profile.total_duration)
            self._total += 1

    @property
    def pipeline_profiles(self) -> list[PipelineProfile]:
        """The latest profiles, oldest first."""
        with self._lock:
            return list(self._profiles)

    # Findings

    def find_bottlenecks(self, threshold_percent: float = THRESHOLD_PERCENT) -> list[Bottleneck]:
        """List the stages above a share of the time, the largest first.

        Raises
        ------
        InvalidParameter
            The threshold is not between 0 and 100.
        """
        if not 0 <= threshold_percent <= 100:
            raise InvalidParameter(f"A threshold of {threshold_percent} % is not a share.")
        with self._lock:
            shares = list(self._shares)
        return rank(shares, threshold_percent)

    def identify_bottlenecks(
        self, threshold_percent: float = THRESHOLD_PERCENT
    ) -> list[dict[str, Any]]:
        """List the same JSON-ready: stage, avg_percent, avg_duration_seconds, severity, ..."""
        return [entry.to_document() for entry in self.find_bottlenecks(threshold_percent)]

    def get_optimization_recommendations(self) -> list[str]:
        """Say what to change first; nothing that the measurements do not back."""
        bottlenecks = self.find_bottlenecks()
        lines = [
            f"🔴 CRITICAL: '{entry.stage}' takes {entry.avg_percent:.1f}% - optimize this first"
            for entry in bottlenecks
            if entry.severity is Severity.CRITICAL
        ]
        if any(self._lacks_mixed_precision(entry) for entry in bottlenecks):
            lines.append(MIXED_PRECISION)
        return lines

    def get_performance_summary(self) -> dict[str, Any]:
        """Summarise what was profiled.

        Returns
        -------
        dict
            ``total_pipelines`` since the start of the process; over the latest ones
            ``avg_duration``, ``min_duration``, ``max_duration``, ``p50_duration``,
            ``p95_duration`` (seconds, None with too few), ``stage_breakdown`` by stage,
            ``bottlenecks`` and ``timestamp``; ``error`` alone without data.
        """
        profiles = self.pipeline_profiles
        if not profiles:
            return {"error": NO_DATA}
        with self._lock:
            durations_s, total = list(self._durations_s), self._total
        figures = summarise(durations_s)
        return {
            "total_pipelines": total,
            "avg_duration": figures.mean,
            "min_duration": min(durations_s),
            "max_duration": max(durations_s),
            "p50_duration": figures.p50,
            "p95_duration": figures.p95,
            "stage_breakdown": stage_breakdown(profiles),
            "bottlenecks": self.identify_bottlenecks(),
            "timestamp": iso(self._clock.now()),
        }

    def get_average_stage_duration(self, name: str, window: int = 20) -> float | None:
        """Mean seconds per pipeline over the latest ones that ran the stage; None if none did.

        Raises
        ------
        InvalidParameter
            The window is below 1.
        """
        if window < 1:
            raise InvalidParameter("A window needs at least one pipeline.")
        times_s = [total_stage_s(profile, name) for profile in self.pipeline_profiles]
        latest_s = [elapsed_s for elapsed_s in times_s if elapsed_s is not None][-window:]
        return sum(latest_s) / len(latest_s) if latest_s else None

    def export_report(self, path: str | Path = "performance_report.json") -> Path:
        """Write summary, advice and the latest profiles as JSON.

        Raises
        ------
        InvalidParameter
            The name does not end in ``.json``.
        """
        target = Path(path)
        if target.suffix.lower() != ".json":
            raise InvalidParameter(f"A report is written as .json, not as {target.suffix!r}.")
        latest = self.pipeline_profiles[-REPORTED_PROFILES:]
        document = {
            "generated_at": iso(self._clock.now()),
            "summary": self.get_performance_summary(),
            "recommendations": self.get_optimization_recommendations(),
            "recent_pipelines": [profile.to_document() for profile in latest],
        }
        text = json.dumps(document, indent=1, ensure_ascii=False, default=str)
        target.write_text(text + "\n", encoding="utf-8")
        return target

    def _lacks_mixed_precision(self, bottleneck: Bottleneck) -> bool:
        """Whether the stage computes on a GPU, takes much time, and did so in full precision."""
        if bottleneck.kind is not SpanKind.GPU or bottleneck.severity is Severity.MEDIUM:
            return False
        ran = [
            profile
            for profile in self.pipeline_profiles
            if any(span.name == bottleneck.stage for span in profile.spans)
        ]
        in_force = dict(self._settings_in_force()) | ran[-1].metadata
        return in_force.get("precision") == FULL_PRECISION


def total_stage_s(profile: PipelineProfile, name: str) -> float | None:
    """Wall time of a stage in a pipeline, at any depth; None if it did not run.

    A run inside another run of the same stage counts once.
    """
    spans = {span.id: span for span in profile.spans}
    within: dict[int, bool] = {}
    total_s: float | None = None
    for span in profile.spans:
        parent = spans.get(span.parent) if span.parent is not None else None
        inside = parent is not None and (within[parent.id] or parent.name == name)
        within[span.id] = inside
        if span.name == name and not inside and span.elapsed_s is not None:
            total_s = (total_s or 0.0) + span.elapsed_s
    return total_s


def stage_breakdown(profiles: Sequence[PipelineProfile]) -> dict[str, dict[str, Any]]:
    """Summarise the top-level stages by name.

    Returns
    -------
    dict
        By name: ``avg_duration``, ``min_duration``, ``max_duration`` (seconds per pipeline),
        ``avg_percent`` of the wall time, ``count`` of pipelines, ``occurrences``, ``failures``.
    """
    by_name: dict[str, list[tuple[float, float, int, bool]]] = {}
    for profile in profiles:
        percents = profile.stage_percentages
        for stage in profile.stages:
            row = (stage.duration_seconds, percents[stage.name], stage.occurrences, stage.failed)
            by_name.setdefault(stage.name, []).append(row)
    return {name: _breakdown(rows) for name, rows in by_name.items()}


def _breakdown(rows: Sequence[tuple[float, float, int, bool]]) -> dict[str, Any]:
    seconds, percents, occurrences, failures = zip(*rows, strict=True)
    return {
        "avg_duration": sum(seconds) / len(rows),
        "min_duration": min(seconds),
        "max_duration": max(seconds),
        "avg_percent": sum(percents) / len(rows),
        "count": len(rows),
        "occurrences": sum(occurrences),
        "failures": sum(failures),
    }


def _clock_ns(clock: Clock) -> int:
    return round(clock.monotonic_s() * 1e9)


_lock = threading.Lock()
_profiler: PerformanceProfiler | None = None


def get_performance_profiler() -> PerformanceProfiler:
    """Return the process's profiler; it sees every pipeline that this process records."""
    global _profiler
    with _lock:
        if _profiler is None:
            _profiler = PerformanceProfiler()
            recorder.add_listener(_profiler.collect)
        return _profiler


class SimulatedClock:
    """Time that passes by itself only in the demonstration."""

    def __init__(self) -> None:
        self._elapsed_s = 0.0

    def now(self) -> datetime:
        """A fixed day plus the time that passed."""
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self._elapsed_s)

    def monotonic_s(self) -> float:
        """Seconds that were let pass."""
        return self._elapsed_s

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        self._elapsed_s += seconds


SIMULATED = (
    ("image_preprocessing", 0.1, SpanKind.CPU),
    ("shape_generation", 0.5, SpanKind.GPU),
    ("texture_synthesis", 0.3, SpanKind.GPU),
    ("mesh_export", 0.05, SpanKind.IO),
)


def demonstration() -> str:
    """Write what the profiler says of a simulated run in full precision."""
    clock = SimulatedClock()
    profiler = PerformanceProfiler(clock, settings_in_force=dict)
    profiler.start_pipeline("simulated_001", {"precision": FULL_PRECISION})
    for name, seconds, kind in SIMULATED:
        with profiler.profile_stage(name, kind):
            clock.forward(seconds)
    profile = profiler.end_pipeline()
    lines = ["1. Simulating Pipeline Execution...", ""]
    if profile is not None and profile.slowest_stage is not None:
        lines += [f"   Total Duration: {profile.total_duration:.3f}s"]
        lines += [f"   Slowest Stage: {profile.slowest_stage.name}"]
    lines += ["", "4. Identified Bottlenecks:"]
    for place, entry in enumerate(profiler.find_bottlenecks(), start=1):
        seconds, severity = entry.avg_duration_seconds, entry.severity.upper()
        share = f"{entry.avg_percent:.1f}% ({seconds:.3f}s)"
        lines += [f"   {place}. {entry.stage}: {share} - {severity}"]
    lines += ["", "5. Optimization Recommendations:"]
    advice = profiler.get_optimization_recommendations()
    lines += [f"   {place}. {line}" for place, line in enumerate(advice, start=1)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(demonstration())
