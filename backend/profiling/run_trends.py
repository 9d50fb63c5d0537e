"""Whether the latest runs became slower, and what stages take, per pipeline and size of work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from backend.profiling.comparison import Change, compare_runs
from backend.profiling.regression import RatioInterval, Verdict, ratio_interval, verdict_of
from backend.profiling.run_summary import RunStatus, RunSummary
from backend.profiling.statistics import Summary, summarise

LATEST_RUNS = 20


@dataclass(frozen=True)
class Trend:
    """The last twenty runs of like work beside those before, all in batches of the same size.

    Waits for the device and for others of a batch do not count.

    Parameters
    ----------
    total : Summary
        Wall time of all these runs in seconds.
    interval : RatioInterval or None
        Of median(latest) / median(before); None without runs before.
    verdict : Verdict
        What the interval shows; never what the last run alone does.
    """

    pipeline: str
    shape_key: str
    total: Summary
    interval: RatioInterval | None
    verdict: Verdict

    def to_document(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {
            "pipeline": self.pipeline,
            "shape_key": self.shape_key,
            "total_s": asdict(self.total),
            "ratio": asdict(self.interval) if self.interval else None,
            "verdict": self.verdict.value,
        }


@dataclass(frozen=True)
class StageFigures:
    """What one stage took in like runs, and how that moved.

    Parameters
    ----------
    elapsed : Summary
        Seconds per run that had the stage.
    share_pct : float or None
        Of the wall time of the runs that had it.
    trend : Verdict
        The last twenty runs beside those before.
    """

    pipeline: str
    shape_key: str
    stage: str
    kind: str
    elapsed: Summary
    share_pct: float | None
    trend: Verdict

    def to_document(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {
            "pipeline": self.pipeline,
            "shape_key": self.shape_key,
            "stage": self.stage,
            "kind": self.kind,
            "elapsed_s": asdict(self.elapsed),
            "share_pct": self.share_pct,
            "trend": self.trend.value,
        }


def alike(runs: Iterable[RunSummary]) -> dict[tuple[str, str], list[RunSummary]]:
    """Group the runs that succeeded by pipeline and size of work, in the order given."""
    groups: dict[tuple[str, str], list[RunSummary]] = {}
    for run in runs:
        if run.status is RunStatus.OK and run.total_s > 0:
            groups.setdefault((run.pipeline, run.shape_key), []).append(run)
    return groups


def trends(runs: Iterable[RunSummary]) -> list[Trend]:
    """Judge every kind of work.

    Parameters
    ----------
    runs : iterable of RunSummary
        Newest first.

    Returns
    -------
    list of Trend
        The kind of work with the most runs first.
    """
    found = [_trend(key, group) for key, group in alike(runs).items()]
    return sorted(found, key=lambda trend: -trend.total.n)


def stage_figures(runs: Iterable[RunSummary]) -> list[StageFigures]:
    """Describe every stage of every kind of work, the largest share first.

    Parameters
    ----------
    runs : iterable of RunSummary
        Newest first.
    """
    found = [figures for group in alike(runs).values() for figures in _of_group(group)]
    return sorted(found, key=lambda figures: -(figures.share_pct or 0.0))


def _trend(key: tuple[str, str], runs: Sequence[RunSummary]) -> Trend:
    latest, before = _latest_and_before(runs)
    interval = _ratio([r.worked_s for r in before], [r.worked_s for r in latest])
    verdict = verdict_of(interval) if interval else Verdict.TOO_FEW
    return Trend(*key, summarise(run.total_s for run in runs), interval, verdict)


def _latest_and_before(
    runs: Sequence[RunSummary],
) -> tuple[Sequence[RunSummary], Sequence[RunSummary]]:
    """Split the runs that were like the newest: a run in larger company takes longer by nature."""
    size = runs[0].batch_size or 1
    same = [run for run in runs if (run.batch_size or 1) == size]
    return same[:LATEST_RUNS], same[LATEST_RUNS:]


def _ratio(before_s: Sequence[float], latest_s: Sequence[float]) -> RatioInterval | None:
    return ratio_interval(before_s, latest_s) if before_s and latest_s else None


def _of_group(runs: Sequence[RunSummary]) -> list[StageFigures]:
    with_stages = [run for run in runs if run.stages]
    if not with_stages:
        return []
    moved = _stage_verdicts(with_stages)
    names = dict.fromkeys(stage.name for run in with_stages for stage in run.stages)
    return [_figures(name, with_stages, moved.get(name, Verdict.TOO_FEW)) for name in names]


def _stage_verdicts(runs: Sequence[RunSummary]) -> dict[str, Verdict]:
    latest, before = _latest_and_before(runs)
    if not before:
        return {}
    compared = compare_runs([_worked(run) for run in before], [_worked(run) for run in latest])
    return {entry.stage: _verdict(entry.change) for entry in compared.stages}


def _worked(run: RunSummary) -> dict[str, float]:
    return {stage.name: stage.elapsed_s - stage.waited_s for stage in run.stages}


def _verdict(change: Change) -> Verdict:
    return change.verdict or Verdict.TOO_FEW


def _figures(name: str, runs: Sequence[RunSummary], trend: Verdict) -> StageFigures:
    ran = [run for run in runs if name in run.stage_seconds]
    times_s = [run.stage_seconds[name] for run in ran]
    newest = next(stage for stage in ran[0].stages if stage.name == name)
    whole_s = sum(run.total_s for run in ran)
    return StageFigures(
        pipeline=ran[0].pipeline,
        shape_key=ran[0].shape_key,
        stage=name,
        kind=newest.kind,
        elapsed=summarise(times_s),
        share_pct=100 * sum(times_s) / whole_s if whole_s else None,
        trend=trend,
    )
