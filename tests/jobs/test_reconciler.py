from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from backend.jobs.owners import Owner, host_name
from backend.jobs.reconciler import Reconciler
from backend.jobs.states import JobState
from tests.jobs.test_claims import ELSEWHERE


class SilentDoorbell:
    def ring(self, queue):
        """Nobody listens."""


@pytest.fixture
def reconciler(service):
    return Reconciler(
        service.settings, service.store, service.claims, service.artefacts, service.looks,
        SilentDoorbell(),
    )  # fmt: skip


@pytest.fixture
def canceling(service):
    """Have an owner hold a job that was asked to stop."""

    def make(owner):
        job, _, _ = service.submit(service.prepare("image_to_3d", {}, "doll.png"), {})
        (held,) = service.claims.claim("gpu", owner)
        service.store.request_cancel(job.id)
        return held.id

    return make


def test_the_next_look_is_when_a_cancel_is_overdue(service, reconciler, canceling, clock):
    usual_s, grace_s = service.settings.reconcile_s, service.settings.cancel_grace_s
    assert reconciler.look() == usual_s
    canceling(ELSEWHERE)
    assert reconciler.look() == usual_s, "the grace is longer than that"
    clock.forward(seconds=grace_s - 2)
    assert reconciler.look() == pytest.approx(2, abs=0.2), "and not five seconds"
    clock.forward(seconds=2)
    assert reconciler.look() == usual_s, "what runs on another machine is not killed from here"


def test_a_process_that_does_not_stop_is_killed_and_its_job_ends_soon(
    service, reconciler, canceling, clock
):
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen(sleeper) as process:
        born_ms = round(psutil.Process(process.pid).create_time() * 1000)
        job_id = canceling(str(Owner(host_name(), process.pid, born_ms)))
        clock.forward(seconds=service.settings.cancel_grace_s + 0.1)
        assert reconciler.look() < 0.5, "it looks again as soon as the process is gone"
        assert process.wait(timeout=5) == -9
    reconciler.look()
    assert service.store.get(job_id).status is JobState.CANCELED
