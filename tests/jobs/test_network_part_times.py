from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import insert

from backend.catalog import PartStageName
from backend.engines.p3sam_effort import DRAFT_POINTS, DRAFT_PROMPTS
from backend.jobs.network_part_times import NEWEST, network_part_times_s
from backend.jobs.schema import JobRow, StageRow
from backend.jobs.states import JobState
from backend.web.pages import draft_time

REPOSITORY = Path(__file__).parents[2]
DRAFT = {"engine": "p3sam", "points": DRAFT_POINTS, "prompts": DRAFT_PROMPTS}


@pytest.fixture
def ran(store, new_job):
    """Put a job into the past that found parts."""

    def put(elapsed_s, *, facts=DRAFT, status=JobState.SUCCEEDED):
        job = store.submit(new_job(pipeline="segment_parts"))[0]
        with store.engine.begin() as connection:
            own = JobRow.__table__.c.id == job.id
            values = {"facts": {"parts": facts}, "status": status}
            connection.execute(JobRow.__table__.update().where(own).values(values))
            connection.execute(
                insert(StageRow).values(
                    job_id=job.id, name=PartStageName.PART_SEGMENTATION, position=9,
                    status="done", elapsed_s=elapsed_s,
                )
            )  # fmt: skip

    return put


def times(store):
    return network_part_times_s(store.engine, DRAFT_POINTS, DRAFT_PROMPTS)


def test_only_jobs_count_that_looked_as_closely_and_were_not_lost(store, ran):
    assert times(store) == []
    ran(44.0)
    ran(9.0, facts=DRAFT | {"engine": "line_of_sight_parts"})
    ran(200.0, facts=DRAFT | {"points": 100_000})
    ran(30.0, facts=DRAFT | {"prompts": 16})
    ran(1.0, status=JobState.CANCELED)
    ran(None)
    ran(46.0, status=JobState.EXPIRED)
    assert times(store) == [46.0, 44.0]


def test_the_newest_count(store, ran):
    for number in range(NEWEST + 2):
        ran(float(number))
    assert times(store) == [float(number) for number in range(NEWEST + 1, 1, -1)]


def test_what_the_page_tells_is_what_the_engine_does_and_was_measured():
    """The web process imports neither."""
    assert (draft_time.DRAFT_POINTS, draft_time.DRAFT_PROMPTS) == (DRAFT_POINTS, DRAFT_PROMPTS)
    measured = json.loads((REPOSITORY / "bench/results/parts_draft.json").read_text())
    (whole,) = (figure for figure in measured["figures"] if figure["name"] == "all steps")
    assert round(whole["median"]) == draft_time.MEASURED_S
    assert measured["machine"]["cores"] == measured["settings"]["threads"]
    assert measured["machine"]["cores"] == draft_time.MEASURED_CORES
    sizes = measured["settings"]["points"], measured["settings"]["prompts"]
    assert sizes == (DRAFT_POINTS, DRAFT_PROMPTS)
