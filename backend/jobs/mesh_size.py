"""Size classes of meshes: a million faces say nothing of how long a thousand take."""

from __future__ import annotations

from sqlalchemy import Engine, select

from backend.jobs.schema import JobRow

SMALLEST_K = 1
STEP = 4
SIZE = ":up to "


def sized_cost_key(cost_key: str, faces: int) -> str:
    """Add the size class of a mesh to the cost key of its job.

    Parameters
    ----------
    cost_key : str
        Of the pipeline and its parameters.
    faces : int
        Of the mesh; classes end at 1, 4, 16, 64, ... times 1024.

    Examples
    --------
    >>> sized_cost_key("segment_parts", 40_000)
    'segment_parts:up to 64k faces'
    """
    bound_k = SMALLEST_K
    while faces > bound_k * 1024:
        bound_k *= STEP
    return f"{cost_key}{SIZE}{bound_k}k faces"


def cost_key_again(jobs: Engine, old_id: str, cost_key: str) -> str:
    """Give the cost key of a job that runs again the size class that it had, if it had one."""
    with jobs.connect() as connection:
        old = connection.scalar(select(JobRow.cost_key).where(JobRow.id == old_id))
    had_size = old is not None and old.startswith(cost_key + SIZE)
    return old if old is not None and had_size else cost_key
