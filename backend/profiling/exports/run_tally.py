"""How long runs and their stages took, counted once each as long as the process lives."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backend.profiling.exports.prometheus import BUCKETS_S, Histogram, Metric, MetricType
from backend.profiling.run_summary import RunStatus, RunSummary

Key = tuple[str, ...]
Times = Mapping[Key, Sequence[float]]


@dataclass(frozen=True, slots=True)
class TalliedRun:
    """What is counted of a run.

    Parameters
    ----------
    stages : sequence of mapping
        ``name``, ``kind`` and ``elapsed_s`` of each.
    """

    run: str
    pipeline: str
    status: str
    total_s: float
    queue_s: float | None
    stages: Sequence[Mapping[str, Any]]

    @classmethod
    def of(cls, run: RunSummary) -> TalliedRun:
        """Take it from a summary."""
        stages = [
            {"name": stage.name, "kind": stage.kind, "elapsed_s": stage.elapsed_s}
            for stage in run.stages
        ]
        return cls(run.run, run.pipeline, run.status.value, run.total_s, run.queue_s, stages)


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

    def count(self, runs: Iterable[RunSummary | TalliedRun]) -> None:
        """Count those of the runs that were not counted before."""
        lean = (run if isinstance(run, TalliedRun) else TalliedRun.of(run) for run in runs)
        with self._lock:
            new = [run for run in lean if run.run not in self._seen]
            self._seen.update(run.run for run in new)
            _observe(self._runs, _totals_s(new))
            _observe(self._waits, _waits_s(new))
            _observe(self._stages, _stages_s(new))

    def uncounted(self, names: Iterable[str]) -> list[str]:
        """Return the names of runs that were not counted yet."""
        with self._lock:
            return [name for name in names if name not in self._seen]

    def forget_below(self, name: str) -> None:
        """Drop what is remembered of runs whose names sort before this one."""
        with self._lock:
            self._seen = {seen for seen in self._seen if seen >= name}

    def to_document(self) -> dict[str, Any]:
        """Return it JSON-ready, so that the next process goes on where this one was."""
        with self._lock:
            parts = (self._runs, self._waits, self._stages)
            counted = [[[*key], own.to_document()] for part in parts for key, own in part.items()]
            return {"bounds": [*BUCKETS_S], "seen": sorted(self._seen), "counted": counted}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> RunTally | None:
        """Read what ``to_document`` wrote; None if it counts by other bounds.

        Raises
        ------
        KeyError, TypeError, ValueError
            It is no such document.
        """
        if tuple(document["bounds"]) != BUCKETS_S:
            return None
        tally = cls()
        tally._seen = set(document["seen"])
        by_labels = {1: tally._waits, 2: tally._runs, 3: tally._stages}
        for key, histogram in document["counted"]:
            by_labels[len(key)][tuple(key)] = Histogram.from_document(histogram)
        return tally

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


def _totals_s(runs: Iterable[TalliedRun]) -> Times:
    found: dict[Key, list[float]] = defaultdict(list)
    for run in runs:
        found[run.pipeline, run.status].append(run.total_s)
    return found


def _waits_s(runs: Iterable[TalliedRun]) -> Times:
    found: dict[Key, list[float]] = defaultdict(list)
    for run in runs:
        if run.queue_s is not None:
            found[(run.pipeline,)].append(run.queue_s)
    return found


def _stages_s(runs: Iterable[TalliedRun]) -> Times:
    found: dict[Key, list[float]] = defaultdict(list)
    for run in runs:
        if run.status == RunStatus.OK:
            for stage in run.stages:
                found[run.pipeline, stage["name"], stage["kind"]].append(stage["elapsed_s"])
    return found


def _observe(histograms: dict[Key, Histogram], times_s: Times) -> None:
    for key, values in times_s.items():
        histograms.setdefault(key, Histogram()).observe_all(values)


def _metric(name: str, text: str, labels: Key, histograms: Mapping[Key, Histogram]) -> Metric:
    samples = [
        sample
        for key, histogram in sorted(histograms.items())
        for sample in histogram.samples(dict(zip(labels, key, strict=True)))
    ]
    return Metric(name, MetricType.HISTOGRAM, text, samples)
