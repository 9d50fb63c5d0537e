"""A real worker that forms batches, also after dying in the middle of one."""

from __future__ import annotations

import pytest

from backend.jobs.states import TERMINAL, JobState
from tests.jobs.conftest import open_workshop, wait_until

pytestmark = pytest.mark.server
RUNNER = "tests.jobs.batched_runner:run_batched"


@pytest.fixture
def batching_workshop(tmp_path):
    """A workshop with an engine that gains from batches."""
    with open_workshop(tmp_path, RUNNER) as shop:
        yield shop


def two_that_hold(shop, gate):
    """Occupy a worker by one job on the device and one behind it, until there is a file.

    Else the first of those that are to share a call is taken alone if the others come late.
    """
    jobs = []
    for _ in range(2):
        jobs.append(shop.submit(f"slow:{gate}"))
        shop.wait_for(jobs[-1].id, JobState.RUNNING)
    return jobs


def sizes_of(shop, jobs):
    """Sizes of the batches on record, once all are there."""
    found = {run.job_id: run.batch_size for run in shop.service.run_history.runs()}
    return [found[job.id] for job in jobs] if all(job.id in found for job in jobs) else None


def ends_of(shop, job):
    return [e for e in shop.service.events.read_after(job.id, "0-0") if e.type == "end"]


def test_jobs_share_calls_and_run_alone_after_a_crash(batching_workshop, tmp_path):
    shop, gates = batching_workshop, [tmp_path / name for name in ("first", "last")]
    first = two_that_hold(shop, gates[0])
    good = [shop.submit("good") for _ in range(2)]
    failing = shop.submit("failing")
    gates[0].touch()
    done = {job.id: shop.wait_for(job.id, *TERMINAL) for job in (*first, *good, failing)}
    assert [done[job.id].facts["told"] for job in first] == ["slow 1"] * 2
    assert [done[job.id].facts["told"] for job in good] == ["good 2"] * 2
    assert done[failing.id].error["code"] == "no-foreground"
    assert {job.attempt for job in done.values()} == {1}
    sizes = wait_until(lambda: sizes_of(shop, (*first, *good)))
    assert sizes == [1, 1, 2, 2]

    last = two_that_hold(shop, gates[1])
    crashed = [shop.submit(order) for order in ("unsocial", "good", "good")]
    gates[1].touch()
    for job in (*last, *crashed):
        ended = shop.wait_for(job.id, *TERMINAL, timeout_s=60)
        assert ended.status is JobState.SUCCEEDED
        assert len(wait_until(lambda job=job: ends_of(shop, job))) == 1
    alone = [shop.service.store.get(job.id) for job in crashed]
    assert [job.facts["told"] for job in alone] == ["unsocial 1", "good 1", "good 1"]
    assert [(job.attempt, job.max_attempts) for job in alone] == [(2, 4)] * 3
