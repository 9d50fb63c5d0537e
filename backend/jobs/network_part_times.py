"""How long this server's own jobs took to find parts with the network."""

from __future__ import annotations

from sqlalchemy import Engine, select

from backend.catalog import PartStageName
from backend.jobs.schema import JobRow, StageRow
from backend.jobs.states import JobState

NEWEST = 10
NETWORK = "p3sam"


def network_part_times_s(jobs: Engine, points: int, prompts: int) -> list[float]:
    """Read what the newest jobs took that looked as closely, newest first.

    The engine counts that found the parts, whether it was named or chosen.

    Parameters
    ----------
    jobs : Engine
        The job database.
    points, prompts : int
        Of the surface, and of those the ones that were asked for their part.

    Returns
    -------
    list of float
        Seconds of the stage that finds parts; up to ten.
    """
    found = JobRow.facts["parts"]
    query = (
        select(StageRow.elapsed_s)
        .join(JobRow, JobRow.id == StageRow.job_id)
        .where(
            StageRow.name == PartStageName.PART_SEGMENTATION,
            StageRow.elapsed_s.is_not(None),
            JobRow.status.in_([JobState.SUCCEEDED, JobState.EXPIRED]),
            found["engine"].as_string() == NETWORK,
            found["points"].as_integer() == points,
            found["prompts"].as_integer() == prompts,
        )
        .order_by(JobRow.id.desc())
        .limit(NEWEST)
    )
    with jobs.connect() as connection:
        return [elapsed_s for elapsed_s in connection.scalars(query) if elapsed_s is not None]
