"""What the stored runs of a worker tell of its queue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from statistics import median

from backend.catalog import PIPELINES
from backend.profiling.advice.evidence import QueueFigures
from backend.profiling.run_summary import RunSummary
from backend.profiling.self_time import Interval, clipped
from backend.profiling.spans import NS

# Further back the arrivals are those of another day.
WINDOW = timedelta(hours=6)

_QUEUES = {name.value: spec.queue for name, spec in PIPELINES.items()}


def queue_figures(
    pipeline: str, runs: Sequence[RunSummary], workers: int | None = None
) -> QueueFigures | None:
    """Describe the queue that a pipeline's jobs wait in.

    Parameters
    ----------
    pipeline : str
        Its own wait is the median one; all jobs of its worker arrive and keep it busy.
    runs : sequence of RunSummary
        Of all pipelines and whatever became of them, newest first.
    workers : int or None
        How many work at this queue now; None if unknown.

    Returns
    -------
    QueueFigures or None
        None without a run whose wait is known. How busy the workers are is told of the time in
        which jobs waited: at night there is nothing to hold up.
    """
    same_queue = _latest(run for run in runs if queue_of(run.pipeline) == queue_of(pipeline))
    own_s = [r.queue_s for r in same_queue if r.pipeline == pipeline and r.queue_s is not None]
    if not own_s:
        return None
    figures = QueueFigures(len(own_s), median(own_s))
    waits = [wait for run in same_queue if (wait := _wait(run)) is not None]
    work = [_work(run) for run in same_queue]
    window_s = _span_s([*waits, *work])
    if window_s <= 0:
        return figures
    return replace(
        figures,
        # By Little's law: the waits of all arrivals, spread over the window.
        waiting=sum(end - start for start, end in waits) / NS / window_s,
        arrivals_per_s=len(waits) / window_s,
        gpu_busy=_busy(waits, work, max(workers or 1, _most_at_once(work))),
    )


def queue_of(pipeline: str) -> str:
    """Name the queue of a pipeline; one that is not known has its own."""
    return str(_QUEUES.get(pipeline, pipeline))


def _busy(waits: Sequence[Interval], work: Sequence[Interval], workers: int) -> float | None:
    """Return the share of the workers' time that is work, while jobs wait."""
    periods = _merged(waits)
    waited_ns = sum(end - start for start, end in periods)
    if not waited_ns:
        return None
    worked_ns = 0
    for period in periods:
        inside = (clipped(run, period) for run in work)
        worked_ns += sum(end - start for start, end in inside)
    return min(1.0, worked_ns / (workers * waited_ns))


def _merged(intervals: Sequence[Interval]) -> list[Interval]:
    merged: list[Interval] = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        elif end > start:
            merged.append((start, end))
    return merged


def _most_at_once(work: Sequence[Interval]) -> int:
    """Return how many runs there were at one moment; one that begins as another ends follows it."""
    edges = sorted([(start, 1) for start, _ in work] + [(end, -1) for _, end in work])
    now = most = 0
    for _, step in edges:
        now += step
        most = max(most, now)
    return most


def _latest(runs: Iterable[RunSummary]) -> list[RunSummary]:
    found = list(runs)
    if not found:
        return []
    newest = max(run.started_at for run in found)
    return [run for run in found if run.started_at >= newest - WINDOW]


def _wait(run: RunSummary) -> Interval | None:
    if run.queue_s is None:
        return None
    start_ns = _start_ns(run)
    return start_ns - round(run.queue_s * NS), start_ns


def _work(run: RunSummary) -> Interval:
    start_ns = _start_ns(run)
    return start_ns, start_ns + round(run.total_s * NS)


def _start_ns(run: RunSummary) -> int:
    return round(run.started_at.timestamp() * NS)


def _span_s(intervals: Sequence[Interval]) -> float:
    return (max(end for _, end in intervals) - min(start for start, _ in intervals)) / NS
