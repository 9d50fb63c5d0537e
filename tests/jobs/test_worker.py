"""A real worker, killed in every way."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace

import psutil
import pytest

from backend.jobs.service import JobService
from backend.jobs.states import JobState
from tests.jobs.conftest import wait_until

pytestmark = pytest.mark.server


@pytest.fixture
def workshop(shared_workshop):
    return shared_workshop


def busy(workshop, job_id):
    workshop.wait_for(job_id, JobState.RUNNING)
    wait_until(lambda: workshop.service.store.get(job_id).stage)


def ends_of(workshop, job_id):
    return [e for e in workshop.service.events.read_after(job_id, "0-0") if e.type == "end"]


def test_jobs_run_fail_and_stop_when_asked(workshop):
    good = workshop.submit("slow")
    failing, broken = workshop.submit("failing"), workshop.submit("broken")
    stopped = workshop.submit("slow")
    done = workshop.wait_for(good.id, JobState.SUCCEEDED)
    assert done.facts == {"order": "slow"}
    assert [output.name for output in done.outputs] == ["mask.png"]
    assert workshop.wait_for(failing.id, JobState.FAILED).error["code"] == "no-foreground"
    defect = workshop.wait_for(broken.id, JobState.FAILED).error
    assert defect["code"] == "internal-error"
    assert "scripted defect" not in str(defect), "inner texts stay in the log"
    busy(workshop, stopped.id)
    started_s = time.monotonic()
    assert workshop.service.cancel(stopped.id).status is JobState.CANCELING
    workshop.wait_for(stopped.id, JobState.CANCELED)
    assert time.monotonic() - started_s < 2


def test_killed_child_costs_an_attempt_and_nothing_else(workshop):
    job = workshop.submit("slow")
    busy(workshop, job.id)
    os.kill(workshop.child_pid(), signal.SIGKILL)
    done = workshop.wait_for(job.id, JobState.SUCCEEDED)
    assert done.attempt == 2
    assert len(done.outputs) == 1
    ends = wait_until(lambda: ends_of(workshop, job.id))  # told after the row is written
    assert len(ends) == 1


def test_killed_worker_and_killed_redis_lose_nothing(workshop):
    jobs = [workshop.submit("slow") for _ in range(2)]
    busy(workshop, jobs[0].id)
    workshop.kill_worker()
    workshop.redis.kill()
    workshop.redis.wait()
    late = workshop.submit("slow")  # accepted although Redis is away
    workshop.start_redis()
    workshop.start_worker()
    for job in [*jobs, late]:
        done = workshop.wait_for(job.id, JobState.SUCCEEDED)
        assert len(done.outputs) == 1


def test_redis_may_be_away_when_a_child_is_killed_or_a_job_ends(workshop):
    job = workshop.submit("slow")
    busy(workshop, job.id)
    child = workshop.child_pid()
    workshop.redis.kill()
    workshop.redis.wait()
    time.sleep(0.3)
    os.kill(child, signal.SIGKILL)  # its bell cannot be given back
    wait_until(lambda: not psutil.pid_exists(child))
    workshop.start_redis()
    assert workshop.wait_for(job.id, JobState.SUCCEEDED).attempt == 2
    job = workshop.submit("slow")
    busy(workshop, job.id)
    workshop.redis.kill()
    workshop.redis.wait()
    assert workshop.wait_for(job.id, JobState.SUCCEEDED).attempt == 1
    time.sleep(1)  # so that its bell cannot be answered
    workshop.start_redis()
    after = workshop.wait_for(workshop.submit("slow").id, JobState.SUCCEEDED)
    assert (after.attempt, len(after.outputs)) == (1, 1)


def test_stuck_job_is_killed_when_canceled(workshop):
    job = workshop.submit("stuck")
    busy(workshop, job.id)
    child = workshop.child_pid()
    workshop.service.cancel(job.id)
    workshop.wait_for(job.id, JobState.CANCELED)
    after = workshop.submit("slow")
    workshop.wait_for(after.id, JobState.SUCCEEDED)
    assert not psutil.pid_exists(child)
    wait_until(lambda: workshop.child_pid() not in (None, child))


def test_poison_job_ends_and_does_not_take_others_with_it(workshop):
    impatient = JobService(replace(workshop.settings, max_attempts=2))
    poison = replace(workshop, service=impatient).submit("deadly")
    impatient.close()
    good = workshop.submit("slow")
    failed = workshop.wait_for(poison.id, JobState.FAILED, timeout_s=60)
    assert failed.error["code"] == "worker-lost"
    assert (failed.attempt, failed.max_attempts) == (2, 2)
    workshop.wait_for(good.id, JobState.SUCCEEDED)
