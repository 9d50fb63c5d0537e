"""How many jobs of a batch the workers have run together."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, func, select

from backend.jobs.batches.tables import BatchItemRow
from backend.profiling.run_table import RUNS, create_missing


@dataclass(frozen=True)
class JobsTogether:
    """Jobs that one call of the engine took, over the runs that are kept.

    Parameters
    ----------
    mean : float
        Jobs per call.
    largest : int
        The most in one call.
    """

    mean: float
    largest: int


def jobs_together(engine: Engine, batch_id: str) -> JobsTogether | None:
    """Read the mean size of the calls that ran a batch; None when no run of it has told.

    Notes
    -----
    Each job of a call of ``n`` tells ``n``. So the calls are counted as the sum of ``1 / n``, and
    their mean size is the jobs over that.
    """
    create_missing(engine)
    size = RUNS.c.batch_size
    query = (
        select(func.count(), func.sum(1.0 / size), func.max(size))
        .join(BatchItemRow, BatchItemRow.job_id == RUNS.c.job_id)
        .where(BatchItemRow.batch_id == batch_id, size > 0)
    )
    with engine.connect() as connection:
        jobs, calls, largest = connection.execute(query).one()
    return JobsTogether(jobs / float(calls), largest) if jobs else None
