"""What stored runs tell of batches: the size that jobs run in beside a larger one."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from backend.profiling.advice.evidence import BatchFigures
from backend.profiling.run_summary import RunSummary

# Fewer runs of a size are no median to compare.
MIN_RUNS = 5


def batch_figures(runs: Sequence[RunSummary]) -> BatchFigures | None:
    """Compare the size of the newest batch with the larger one that did the most per second.

    Parameters
    ----------
    runs : sequence of RunSummary
        Successful runs of one kind of work, newest first; that a larger batch succeeded is the
        proof that it fits.

    Returns
    -------
    BatchFigures or None
        None unless two sizes were measured.
    """
    times_s: dict[int, list[float]] = {}
    for run in runs:
        if run.batch_size:
            times_s.setdefault(run.batch_size, []).append(run.worked_s)
    middle_s = {size: median(found) for size, found in times_s.items() if len(found) >= MIN_RUNS}
    size = next((run.batch_size for run in runs if run.batch_size), None)
    larger = [other for other in middle_s if size is not None and other > size]
    if size is None or size not in middle_s or not larger:
        return None
    best = min(larger, key=lambda other: middle_s[other] / other)
    n = min(len(times_s[size]), len(times_s[best]))
    return BatchFigures(size, middle_s[size], best, middle_s[best], fits=True, n=n)
