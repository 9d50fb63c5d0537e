"""What waits in a queue, by kind: what a worker chooses its next claim from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Engine, func, literal_column, select

from backend.jobs.claims import waiting_conditions
from backend.jobs.schema import JobRow


@dataclass(frozen=True)
class WaitingKind:
    """Jobs of one batch key that wait at the highest priority.

    Parameters
    ----------
    group : str
        Kinds of one group keep the same models in use.
    is_retry : bool
        Whether they have run before, and a worker died.
    count : int
        How many.
    oldest_id : str
        The job that came first.
    oldest_at, newest_at : datetime
        When the first and the last of them were submitted.
    """

    batch_key: str
    pipeline: str
    group: str
    is_retry: bool
    count: int
    oldest_id: str
    oldest_at: datetime
    newest_at: datetime


def waiting_kinds(engine: Engine, queue: str) -> list[WaitingKind]:
    """Read what waits at the highest priority, the kind of the oldest job first; takes no lock."""
    conditions = waiting_conditions(queue)
    top = select(func.max(JobRow.priority)).where(*conditions).scalar_subquery()
    # No bound value: PostgreSQL would not know it again among the columns to group by.
    has_run = JobRow.attempt > literal_column("0")
    query = (
        select(
            JobRow.batch_key,
            JobRow.pipeline,
            has_run,
            func.count(),
            func.min(JobRow.id),
            func.min(JobRow.created_at),
            func.max(JobRow.created_at),
        )
        .where(*conditions, JobRow.priority == top)
        .group_by(JobRow.batch_key, JobRow.pipeline, has_run)
        .order_by(func.min(JobRow.id))
    )
    with engine.connect() as connection:
        return [
            WaitingKind(key, pipeline, group_of(key, pipeline), bool(ran), count, first, old, new)
            for key, pipeline, ran, count, first, old, new in connection.execute(query)
        ]


def params_of(engine: Engine, job_id: str) -> dict[str, Any]:
    """Read the parameters of a job; {} if it is gone."""
    with engine.connect() as connection:
        return dict(connection.scalar(select(JobRow.params).where(JobRow.id == job_id)) or {})


@lru_cache(maxsize=1024)
def group_of(batch_key: str, pipeline: str) -> str:
    """Name what keeps the same models in use: the pipeline and the engine asked for.

    >>> group_of('image_to_3d:{"engine": "inflate", "preset": "draft"}', "image_to_3d")
    'image_to_3d:inflate'
    """
    try:
        params = json.loads(batch_key.partition(":")[2])
    except ValueError:
        return pipeline
    engine = params.get("engine") if isinstance(params, dict) else None
    return f"{pipeline}:{engine}" if engine else pipeline
