"""What like jobs took: time left as a range, and statistics per stage."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, and_, func, select
from sqlalchemy.orm import Session

from backend.jobs.batches.pausing import not_paused
from backend.jobs.records import EtaRange
from backend.jobs.schema import JobRow, StageRow
from backend.jobs.states import JobState
from backend.profiling.self_time import covered_ns
from backend.profiling.spans import NS

ETA_RUNS = 30
ETA_MIN_RUNS = 3
DEEP_FACT = "deep_profile"
# Profilers slow a job down, which says nothing of the next one.
_AS_USUAL = JobRow.facts[DEEP_FACT].as_boolean().is_not(True)


@dataclass(frozen=True)
class StageStatistics:
    """What one stage took over the last runs; seconds, share in percent of the run."""

    pipeline: str
    stage: str
    runs: int
    mean_s: float
    p50_s: float
    max_s: float
    share_pct: float


@dataclass(frozen=True)
class RunStatistics:
    """What whole runs took, in seconds, newest first."""

    totals_s: list[float]

    @property
    def runs(self) -> int:
        """Number of runs."""
        return len(self.totals_s)


class History:
    """Reads finished jobs.

    Parameters
    ----------
    engine : Engine
        The job database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def eta(self, session: Session, row: JobRow, now: datetime) -> EtaRange | None:
        """Seconds until the end of a waiting or running job, or None without enough history.

        Those ahead of a waiting one count as they ran lately: one by one, or side by side.
        """
        if row.status not in (JobState.QUEUED, JobState.RUNNING):
            return None
        own = _range_s(self._totals(session, row.cost_key))
        if own is None:
            return None
        low, high = own
        if row.status == JobState.RUNNING and row.started_at:
            done_s = (now - row.started_at).total_seconds()
            return EtaRange(max(0.0, low - done_s), max(0.0, high - done_s))
        ahead = self._ahead(session, row)
        low_ahead = sum(low for low, _ in ahead)
        return EtaRange(low + low_ahead, high + sum(high for _, high in ahead))

    def expected_s(self, cost_key: str) -> EtaRange | None:
        """What a job of this cost takes, or None when fewer than three ran."""
        with Session(self._engine) as session, session.begin():
            found = _range_s(self._totals(session, cost_key))
        return EtaRange(*found) if found else None

    def stage_statistics(self, limit: int = 200) -> list[StageStatistics]:
        """Time per stage over the last ``limit`` succeeded jobs, slowest share first."""
        newest = (
            select(JobRow.id, JobRow.pipeline)
            .where(JobRow.status.in_([JobState.SUCCEEDED, JobState.EXPIRED]), JobRow.listed)
            .where(_AS_USUAL)
            .order_by(JobRow.finished_at.desc())
            .limit(limit)
            .subquery()
        )
        query = select(newest.c.pipeline, StageRow.name, StageRow.elapsed_s).join(
            newest, newest.c.id == StageRow.job_id
        )
        times: dict[tuple[str, str], list[float]] = defaultdict(list)
        with self._engine.connect() as connection:
            for pipeline, name, elapsed_s in connection.execute(query):
                if elapsed_s is not None:
                    times[pipeline, name].append(elapsed_s)
        return _statistics(times)

    def run_statistics(self, limit: int = 200) -> RunStatistics:
        """Total stage time of the last ``limit`` succeeded jobs."""
        with Session(self._engine) as session, session.begin():
            return RunStatistics(self._totals(session, None, limit))

    def _totals(self, session: Session, cost_key: str | None, limit: int = ETA_RUNS) -> list[float]:
        query = (
            select(func.sum(StageRow.elapsed_s))
            .join(JobRow, JobRow.id == StageRow.job_id)
            .where(JobRow.status.in_([JobState.SUCCEEDED, JobState.EXPIRED]), _AS_USUAL)
            .group_by(JobRow.id)
            .order_by(JobRow.id.desc())
            .limit(limit)
        )
        query = query.where(JobRow.listed if cost_key is None else JobRow.cost_key == cost_key)
        return [total for total in session.scalars(query) if total is not None]

    def _ahead(self, session: Session, row: JobRow) -> list[tuple[float, float]]:
        query = (
            select(JobRow.cost_key, func.count())
            .where(
                JobRow.queue == row.queue,
                JobRow.id != row.id,
                ~JobRow.deleted,
                (JobRow.status == JobState.RUNNING)
                | and_(
                    JobRow.status == JobState.QUEUED,
                    not_paused(),
                    (JobRow.priority > row.priority)
                    | and_(JobRow.priority == row.priority, JobRow.id < row.id),
                ),
            )
            .group_by(JobRow.cost_key)
        )
        ranges = []
        for cost_key, count in session.execute(query).all():
            found = _range_s(self._totals(session, cost_key))
            if found:
                jobs = count * self._side_by_side(session, cost_key)
                ranges.append((found[0] * jobs, found[1] * jobs))
        return ranges

    def _side_by_side(self, session: Session, cost_key: str) -> float:
        """Return by how much like jobs shorten a queue by running as batches or on many workers.

        Returns
        -------
        float
            The time in which at least one of them ran, over the sum of their times: 1 for jobs
            that ran one by one, 1/4 for full batches of four.
        """
        query = (
            select(JobRow.started_at, JobRow.finished_at)
            .where(JobRow.status.in_([JobState.SUCCEEDED, JobState.EXPIRED]), _AS_USUAL)
            .where(JobRow.cost_key == cost_key)
            .order_by(JobRow.id.desc())
            .limit(ETA_RUNS)
        )
        rows = [(start, end) for start, end in session.execute(query) if start and end]
        ran = [(round(start.timestamp() * NS), round(end.timestamp() * NS)) for start, end in rows]
        whole = sum(end - start for start, end in ran)
        return covered_ns(ran) / whole if whole > 0 else 1.0


def _range_s(totals: list[float]) -> tuple[float, float] | None:
    if len(totals) < ETA_MIN_RUNS:
        return None
    ordered = sorted(totals)
    if len(ordered) < 10:
        return ordered[0], ordered[-1]
    deciles = statistics.quantiles(ordered, n=10)
    return deciles[0], deciles[-1]


def _statistics(times: dict[tuple[str, str], list[float]]) -> list[StageStatistics]:
    sums: dict[str, float] = defaultdict(float)
    for (pipeline, _), values in times.items():
        sums[pipeline] += sum(values)
    found = [
        StageStatistics(
            pipeline,
            name,
            len(values),
            statistics.fmean(values),
            statistics.median(values),
            max(values),
            100 * sum(values) / sums[pipeline] if sums[pipeline] else 0.0,
        )
        for (pipeline, name), values in times.items()
    ]
    return sorted(found, key=lambda entry: -entry.share_pct)
