"""What the pages tell of a batch: its parts, its pace, and how long it may still take."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from backend.jobs.batches.pace import WINDOW
from backend.jobs.batches.records import BatchCounts, BatchRecord, ItemState, batch_document
from backend.jobs.records import EtaRange

PARTS = (
    ItemState.SUCCEEDED,
    ItemState.FAILED,
    ItemState.REFUSED,
    ItemState.CANCELED,
    ItemState.DELETED,
    ItemState.RUNNING,
    ItemState.QUEUED,
)
"""States that are counted, in the order of the bar."""


@dataclass(frozen=True)
class BarPart:
    """The items of one state, and where they are in the bar, in percent of its width."""

    state: str
    count: int
    x_pct: float
    width_pct: float


@dataclass(frozen=True)
class BatchView:
    """A batch for a template.

    Parameters
    ----------
    batch : dict
        The document of the HTTP contract, without items.
    parts : list of BarPart
        Of every state that is counted, also those of which there are none.
    ended : int
        Items for which nothing is left to do.
    elapsed_s : float or None
        Since the first job began, until the last one ended; None before that.
    time_left : EtaRange or None
        None when nobody can tell.
    is_terminal : bool
        Whether nothing of it waits or runs.
    """

    batch: dict[str, Any]
    parts: list[BarPart]
    ended: int
    elapsed_s: float | None
    time_left: EtaRange | None
    is_terminal: bool


def batch_view(batch: BatchRecord, now: datetime) -> BatchView:
    """Prepare a batch for a template."""
    counts = batch.counts
    return BatchView(
        batch=batch_document(batch),
        parts=bar_parts(counts),
        ended=counts.total - counts.active,
        elapsed_s=_elapsed_s(batch, now),
        time_left=time_left(batch),
        is_terminal=batch.state.is_terminal,
    )


def bar_parts(counts: BatchCounts) -> list[BarPart]:
    """Divide the bar.

    >>> [(part.state, part.x_pct) for part in bar_parts(BatchCounts(queued=3, failed=1))][-1]
    ('queued', 25.0)
    """
    parts: list[BarPart] = []
    before = 0
    for state in PARTS:
        count = getattr(counts, state.value)
        share = 100 / max(1, counts.total)
        parts.append(BarPart(state.value, count, before * share, count * share))
        before += count
    return parts


def time_left(batch: BatchRecord) -> EtaRange | None:
    """Tell between what times the rest may take, from the pace of the jobs that ended last.

    Returns
    -------
    EtaRange or None
        The pace, and one standard error of it to both sides; None while the batch has no pace.

    Source
    ------
    A rate found by counting ``n`` events has the relative standard error ``1 / sqrt(n)``
    (Poisson). Jobs come more regularly than that, so the range is rather too wide.
    """
    if batch.eta_s is None:
        return None
    seen = min(WINDOW, batch.counts.succeeded + batch.counts.failed) - 1
    if seen < 2:
        return None
    error = 1 / math.sqrt(seen)
    return EtaRange(batch.eta_s / (1 + error), batch.eta_s / (1 - error))


def _elapsed_s(batch: BatchRecord, now: datetime) -> float | None:
    if batch.started_at is None:
        return None
    return max(0.0, ((batch.finished_at or now) - batch.started_at).total_seconds())
