"""Which jobs do like work: the size class that runs are compared within."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from sqlalchemy import Engine, select

from backend.jobs.schema import JobRow

# Parameters that change the work but are not part of the cost key.
WORK_PARAMS = ("grid_resolution", "steps", "target_faces", "texture_size_px")


class SizedJob(Protocol):
    """What of a job decides its size class."""

    @property
    def id(self) -> str:
        """Its identifier."""

    @property
    def pipeline(self) -> str:
        """Its pipeline."""

    @property
    def params(self) -> Mapping[str, Any]:
        """Its parameters."""


def shape_key(cost_key: str | None, job: SizedJob) -> str:
    """Name the size class: the cost key and the sizes that were asked for."""
    sizes = [f"{name}={job.params[name]}" for name in WORK_PARAMS if job.params.get(name)]
    return ":".join([cost_key or job.pipeline, *sizes])


def shape_key_of(jobs: Engine, job: SizedJob) -> str:
    """Name the size class of a job that is in the database."""
    with jobs.connect() as connection:
        cost_key = connection.scalar(select(JobRow.cost_key).where(JobRow.id == job.id))
    return shape_key(cost_key, job)
