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
    """Occupy a worker by one job on the device and one behind it, until there is a file."""
    jobs = []
    for _ in range(2):
        jobs.append(shop.submit(f"slow:{gate}"))
        shop.wait_for(jobs[-1].id, JobState.RUNNING)
    return jobs


def sizes_of(shop, jobs):
    """Sizes of the batches on record, once all are there."""
    found = {run.job_id: run.batch_size for run in shop.service.run_history.runs()}
    return [found[job.id] for job in jobs] if all(job.id in found for job in jobs) else None


def waiting_jobs(shop):
    """Ids of the jobs that the worker holds and that wait for others or for the device."""
    (status,) = shop.service.worker_status() or [{"current_jobs": []}]
    return {job["id"] for job in status["current_jobs"] if job["waits"]}


def ends_of(shop, job):
    return [e for e in shop.service.events.read_after(job.id, "0-0") if e.type == "end"]


def test_late_jobs_share_a_call_and_run_alone_after_a_crash(batching_workshop, tmp_path):
    """Those behind the first one join the call of the second, which has not begun."""
    shop, gates = batching_workshop, [tmp_path / name for name in ("first", "last")]
    first = two_that_hold(shop, gates[0])
    failing, *good = (shop.submit(order) for order in ("failing", "good", "good"))
    together = {job.id for job in (first[1], *good)}
    wait_until(lambda: waiting_jobs(shop) == together)
    gates[0].touch()
    done = {job.id: shop.wait_for(job.id, *TERMINAL) for job in (*first, *good, failing)}
    assert [done[job.id].facts["told"] for job in first] == ["slow 1", "slow 3"]
    assert [done[job.id].facts["told"] for job in good] == ["good 3"] * 2
    assert done[failing.id].error["code"] == "no-foreground"
    assert {job.attempt for job in done.values()} == {1}
    sizes = wait_until(lambda: sizes_of(shop, (*first, *good)))
    assert sizes == [1, 3, 3, 3]

    last = two_that_hold(shop, gates[1])
    crashed = [last[1], *(shop.submit(order) for order in ("unsocial", "good", "good"))]
    wait_until(lambda: waiting_jobs(shop) == {job.id for job in crashed})
    gates[1].touch()
    for job in (last[0], *crashed):
        ended = shop.wait_for(job.id, *TERMINAL, timeout_s=60)
        assert ended.status is JobState.SUCCEEDED
        assert len(wait_until(lambda job=job: ends_of(shop, job))) == 1
    alone = [shop.service.store.get(job.id) for job in crashed]
    told = [job.facts["told"] for job in alone]
    assert told == ["slow 1", "unsocial 1", "good 1", "good 1"]
    assert [(job.attempt, job.max_attempts) for job in alone] == [(2, 4)] * 4
