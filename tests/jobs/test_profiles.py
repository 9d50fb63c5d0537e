"""What a real worker puts on record."""

from __future__ import annotations

import os
import signal

import pytest

from backend.jobs.states import JobState
from backend.profiling.history import RunFilter
from backend.profiling.run_summary import RunStatus
from tests.jobs.conftest import wait_until

pytestmark = pytest.mark.server


@pytest.fixture
def workshop(shared_workshop):
    return shared_workshop


def runs_of(workshop, job_id):
    return [run for run in workshop.service.run_history.runs() if run.job_id == job_id]


def test_each_job_leaves_one_run_that_matches_its_row_and_its_events(workshop):
    first, second = workshop.submit("slow"), workshop.submit("slow")
    failing = workshop.submit("failing")
    workshop.wait_for(failing.id, JobState.FAILED)
    jobs = [first.id, second.id, failing.id]
    wait_until(lambda: sorted(run.job_id for run in workshop.service.run_history.runs()) == jobs)
    for job_id in (first.id, second.id):
        (run,) = runs_of(workshop, job_id)
        job = workshop.service.store.get(job_id)
        done = [
            event.data["elapsed_s"]
            for event in workshop.service.events.read_after(job_id, "0-0")
            if event.type == "stage" and event.data["status"] == "succeeded"
        ]
        (stage,) = run.stages
        assert (stage.name, run.status) == ("image_preprocessing", RunStatus.OK)
        assert len(done) == 1
        # The event's clock also covers opening and closing the span, and one look for a cancel.
        assert stage.elapsed_s == pytest.approx(done[0], abs=0.1)
        assert stage.elapsed_s > 1.0, "twenty steps of 0.05 s"
        assert run.queue_s == pytest.approx(
            (job.started_at - job.created_at).total_seconds(), abs=1e-3
        )
    assert runs_of(workshop, second.id)[0].queue_s > 1.0, "it waited for the first"
    (failed,) = workshop.service.run_history.runs(RunFilter(status=RunStatus.FAILED))
    assert failed.job_id == failing.id
    assert failed.settings["residency"] == "auto"


def test_a_killed_attempt_leaves_no_run_and_the_next_one_does(workshop):
    job = workshop.submit("slow")
    wait_until(lambda: workshop.service.store.get(job.id).stage)
    os.kill(workshop.child_pid(), signal.SIGKILL)
    workshop.wait_for(job.id, JobState.SUCCEEDED)
    (run,) = wait_until(lambda: runs_of(workshop, job.id))
    assert run.queue_s is None
    profile = workshop.service.run_history.run(run.run).profile
    assert profile["metadata"] == {"job_id": job.id, "attempt": 2}
