"""How long runs and their stages took, counted once each as long as the process lives."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

from backend.profiling.exports.prometheus import Histogram, Metric, MetricType
from backend.profiling.run_summary import RunStatus, RunSummary

Key = tuple[str, ...]


class RunTally:
    """Histograms that only grow, made from stored runs.

    The history forgets its oldest runs; a histogram made from it anew at each look would fall,
    and Prometheus would take that for a restart. So every run is counted when it is first seen.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: set[str] = set()
        self._runs: dict[Key, Histogram] = {}
        self._waits: dict[Key, Histogram] = {}
        self._stages: dict[Key, Histogram] = {}

    def count(self, runs: Iterable[RunSummary]) -> None:
        """Count those of the runs that were not counted before."""
        with self._lock:
            for run in runs:
                if run.run not in self._seen:
                    self._seen.add(run.run)
                    self._count_one(run)

    def uncounted(self, names: Iterable[str]) -> list[str]:
        """Return the names of runs that were not counted yet."""
        with self._lock:
            return [name for name in names if name not in self._seen]

    def forget_below(self, name: str) -> None:
        """Drop what is remembered of runs whose names sort before this one."""
        with self._lock:
            self._seen = {seen for seen in self._seen if seen >= name}

    def metrics(self) -> list[Metric]:
        """Return the histograms in seconds."""
        with self._lock:
            return [
                _metric(
                    "meshkiln_run_seconds",
                    "Wall time of finished runs of a pipeline.",
                    ("pipeline", "status"),
                    self._runs,
                ),
                _metric(
                    "meshkiln_run_queue_seconds",
                    "Wait of finished runs before their start.",
                    ("pipeline",),
                    self._waits,
                ),
                _metric(
                    "meshkiln_stage_seconds",
                    "Wall time of a stage in runs that succeeded.",
                    ("pipeline", "stage", "kind"),
                    self._stages,
                ),
            ]

    def _count_one(self, run: RunSummary) -> None:
        _observe(self._runs, (run.pipeline, run.status.value), run.total_s)
        _observe(self._waits, (run.pipeline,), run.queue_s)
        if run.status is RunStatus.OK:
            for stage in run.stages:
                _observe(self._stages, (run.pipeline, stage.name, stage.kind), stage.elapsed_s)


def _observe(histograms: dict[Key, Histogram], key: Key, value: float | None) -> None:
    if value is not None:
        histograms.setdefault(key, Histogram()).observe(value)


def _metric(name: str, text: str, labels: Key, histograms: Mapping[Key, Histogram]) -> Metric:
    samples = [
        sample
        for key, histogram in sorted(histograms.items())
        for sample in histogram.samples(dict(zip(labels, key, strict=True)))
    ]
    return Metric(name, MetricType.HISTOGRAM, text, samples)
