"""The speed targets of the tools this server replaces, held against recorded runs only.

What no run has measured is said to be not measured: an estimate meets no target.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from backend.profiling.history import RunFilter, RunHistory
from backend.profiling.run_memo import RunMemo
from backend.profiling.run_summary import RunStatus, RunSummary
from backend.profiling.statistics import Summary, summarise

RUNS_JUDGED = 500
MIN_RUNS = 5
MIN_RUNS_FOR_RATE = 20
IMAGE_PIPELINE = "image_to_3d"
SEGMENTATION, GENERATION = "part_segmentation", "part_generation"
TEN_GB_MB = 10 * 1024.0

Reading = Callable[[RunSummary], float | None]


class TargetState(StrEnum):
    """Whether recorded runs reach a target."""

    MET = "met"
    MISSED = "missed"
    NOT_MEASURED = "not_measured"


class Bound(StrEnum):
    """On which side of the figure the target lies."""

    AT_MOST = "at_most"
    AT_LEAST = "at_least"


@dataclass(frozen=True)
class Target:
    """A figure to reach.

    Parameters
    ----------
    figure : float
        In ``unit``.
    reading : callable or None
        What one successful run says; None for what runs do not tell.
    baseline : float or None
        Where the target's authors said they started from, in ``unit``.
    note : str
        What the figure means here, or what is missing to measure it.
    """

    id: str
    title: str
    figure: float
    unit: str
    bound: Bound
    baseline: float | None
    reading: Reading | None
    note: str


@dataclass(frozen=True)
class TargetResult:
    """A target and what the history says of it.

    Parameters
    ----------
    measured : float or None
        What is held against the figure: the median of times, the largest memory peak, or the
        share of successes. None when nothing was measured.
    n : int
        Runs behind it.
    spread : Summary or None
        All of these runs.
    """

    target: Target
    state: TargetState
    measured: float | None
    n: int
    needed: int
    spread: Summary | None
    engines: tuple[str, ...]
    devices: tuple[str, ...]

    def to_document(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        target = self.target
        return {
            "id": target.id,
            "title": target.title,
            "target": target.figure,
            "unit": target.unit,
            "bound": target.bound.value,
            "baseline": target.baseline,
            "state": self.state.value,
            "measured": self.measured,
            "n": self.n,
            "n_needed": self.needed,
            "spread": asdict(self.spread) if self.spread else None,
            "engines": list(self.engines),
            "devices": list(self.devices),
            "note": target.note,
        }


def _seconds_of(*names: str) -> Reading:
    def read(run: RunSummary) -> float | None:
        times = run.stage_seconds
        return sum(times[name] for name in names) if all(name in times for name in names) else None

    return read


def _cold_total(run: RunSummary) -> float | None:
    return run.total_s if run.pipeline == IMAGE_PIPELINE and run.load_s else None


def _warm_total(run: RunSummary) -> float | None:
    return run.total_s if run.pipeline == IMAGE_PIPELINE and run.load_s == 0 else None


def _loading(run: RunSummary) -> float | None:
    return run.load_s or None  # a run that loaded nothing says nothing about loading


PEAK_MEMORY = Target(
    "vram", "GPU memory from 18 to 10 GB", TEN_GB_MB, "MB", Bound.AT_MOST, 18 * 1024.0,
    lambda run: run.peak_mb, "The largest peak that any stage reached in this process.",
)  # fmt: skip
SUCCESS_RATE = Target(
    "success_rate", "At least 95 % of jobs give a validated mesh", 95.0, "%", Bound.AT_LEAST,
    None, None, "Runs that ended well among all that were not canceled; a refused picture counts "
    "as a failure.",
)  # fmt: skip
_PARTS = "Waits for a pipeline with this stage."
TIMES = (
    Target("part_segmentation", "Part segmentation from 60 to 15 s", 15.0, "s", Bound.AT_MOST,
           60.0, _seconds_of(SEGMENTATION), _PARTS),
    Target("part_generation", "Part generation from 180 to 45 s", 45.0, "s", Bound.AT_MOST,
           180.0, _seconds_of(GENERATION), _PARTS),
    Target("parts_total", "Both from 240 to 60 s", 60.0, "s", Bound.AT_MOST,
           240.0, _seconds_of(SEGMENTATION, GENERATION), _PARTS),
    Target("image_warm", "A picture in 60 s, models loaded", 60.0, "s", Bound.AT_MOST,
           107.0, _warm_total, "Median with the engines named; others take other times."),
    Target("image_cold", "A picture in 60 s, models not loaded", 60.0, "s", Bound.AT_MOST,
           107.0, _cold_total, "Runs in which a model was loaded."),
    Target("startup", "Models ready in 30 s", 30.0, "s", Bound.AT_MOST,
           120.0, _loading, "Time spent on loading in the runs that loaded a model."),
)  # fmt: skip
_BENCH = "Needs the replaced tools beside it on this machine, which the history does not have."
UNTOLD = (
    Target("utilisation", "GPU utilisation of 85 %", 85.0, "%", Bound.AT_LEAST, 30.0, None,
           "The history holds no samples of utilisation; a loop of tiny kernels reads 100 %."),
    Target("speed_gain", "Speed up by 200 %", 200.0, "%", Bound.AT_LEAST, None, None, _BENCH),
    Target("vram_gain", "GPU memory down by 40 %", 40.0, "%", Bound.AT_LEAST, None, None, _BENCH),
    Target("startup_gain", "Start-up time down by 60 %", 60.0, "%", Bound.AT_LEAST, None, None,
           _BENCH),
    Target("latency_gain", "Time per phase down by 20 %", 20.0, "%", Bound.AT_LEAST, None, None,
           _BENCH),
)  # fmt: skip


def judge_targets(runs: Sequence[RunSummary]) -> list[TargetResult]:
    """Hold every target against the runs.

    Parameters
    ----------
    runs : sequence of RunSummary
        Of any pipeline and status, in any order.
    """
    done = [run for run in runs if run.status is RunStatus.OK]
    return [
        *(_by_median(target, done) for target in TIMES),
        _by_peak(PEAK_MEMORY, done),
        _by_rate(SUCCESS_RATE, runs),
        *(_result(target, [], None, MIN_RUNS) for target in UNTOLD),
    ]


def judged_targets(history: RunHistory) -> list[dict[str, Any]]:
    """Hold every target against the last 500 runs, JSON-ready; shared, so change nothing of it."""
    return _judged.of(history)


def reaches(target: Target, measured: float) -> bool:
    """Whether a figure is on the right side of the target.

    >>> reaches(PEAK_MEMORY, 9000.0), reaches(SUCCESS_RATE, 94.9)
    (True, False)
    """
    if target.bound is Bound.AT_MOST:
        return measured <= target.figure
    return measured >= target.figure


def _by_median(target: Target, runs: Sequence[RunSummary]) -> TargetResult:
    read = _readings(target, runs)
    median = summarise(read.values).p50 if read.values else None
    return _result(target, read.runs, median, MIN_RUNS, read.values)


def _by_peak(target: Target, runs: Sequence[RunSummary]) -> TargetResult:
    read = _readings(target, runs)
    return _result(target, read.runs, max(read.values, default=None), MIN_RUNS, read.values)


def _by_rate(target: Target, runs: Sequence[RunSummary]) -> TargetResult:
    ended = [
        run
        for run in runs
        if run.pipeline == IMAGE_PIPELINE and run.status is not RunStatus.CANCELED
    ]
    good = sum(run.status is RunStatus.OK for run in ended)
    rate_pct = 100 * good / len(ended) if ended else None
    return _result(target, ended, rate_pct, MIN_RUNS_FOR_RATE)


@dataclass(frozen=True)
class _Readings:
    runs: list[RunSummary]
    values: list[float]


def _readings(target: Target, runs: Sequence[RunSummary]) -> _Readings:
    pairs = [(run, target.reading(run)) for run in runs] if target.reading else []
    known = [(run, value) for run, value in pairs if value is not None]
    return _Readings([run for run, _ in known], [value for _, value in known])


def _result(
    target: Target,
    runs: Sequence[RunSummary],
    measured: float | None,
    needed: int,
    values: Sequence[float] = (),
) -> TargetResult:
    state = TargetState.NOT_MEASURED
    if measured is not None and len(runs) >= needed:
        state = TargetState.MET if reaches(target, measured) else TargetState.MISSED
    return TargetResult(
        target=target,
        state=state,
        measured=measured,
        n=len(runs),
        needed=needed,
        spread=summarise(values) if values else None,
        engines=tuple(sorted({str(name) for run in runs for name in run.engine.values()})),
        devices=tuple(sorted({run.device for run in runs if run.device})),
    )


def _judge_last(history: RunHistory, _: object) -> list[dict[str, Any]]:
    runs = history.runs(RunFilter(limit=RUNS_JUDGED))
    return [result.to_document() for result in judge_targets(runs)]


_judged = RunMemo(_judge_last)
