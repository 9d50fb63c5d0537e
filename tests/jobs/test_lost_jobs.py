"""Whoever finds a dead worker frees its jobs and tells those who listen."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from backend.errors import StartFailed
from backend.jobs.broker import redis_command
from backend.jobs.claims import Claims
from backend.jobs.lost_jobs import release_lost_jobs
from backend.jobs.owners import Owner
from backend.jobs.states import EventType, JobState
from backend.jobs.supervisor import FAILED_STARTS, Supervisor
from backend.settings import Settings


class Told:
    """Notes what is published."""

    def __init__(self):
        self.events = []

    def publish(self, job_id, kind, data):
        self.events.append((job_id, kind, data))


@pytest.fixture
def claims(store):
    return Claims(store, lease_s=60)


@pytest.fixture
def dead_owner():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        born = round(psutil.Process(process.pid).create_time() * 1000)
        owner = str(Owner(Owner.this_process().host, process.pid, born))
        process.send_signal(signal.SIGKILL)
    return owner


def test_a_job_that_goes_back_to_its_queue_is_told(store, claims, new_job, dead_owner):
    store.submit(new_job())
    (job,) = claims.claim("gpu", dead_owner)
    told = Told()
    assert [one.job_id for one in release_lost_jobs(claims, told)] == [job.id]
    assert told.events == [(job.id, EventType.STATE, {"status": "queued", "attempt": 1})]
    assert release_lost_jobs(claims, told) == []


def test_a_job_that_ends_with_its_worker_is_told_to_have_ended(store, claims, new_job, dead_owner):
    store.submit(new_job())
    (job,) = claims.claim("gpu", dead_owner)
    store.request_cancel(job.id)
    told = Told()
    release_lost_jobs(claims, told)
    assert [kind for _, kind, _ in told.events] == [EventType.STATE, EventType.END]
    assert told.events[-1][2] == {"status": JobState.CANCELED.value}


@pytest.fixture
def supervisor(tmp_path):
    return Supervisor(Settings.from_env({}, data_dir=tmp_path, gpu="cpu"))


def dead(name):
    return SimpleNamespace(spec=SimpleNamespace(name=name), starts=FAILED_STARTS + 5, tail=[])


def test_a_server_that_has_served_never_gives_up(supervisor):
    supervisor._ready = True
    for name in ("web", "redis", "gpu-worker"):
        supervisor._mourn(dead(name))
    assert not supervisor._stop.is_set()


def test_a_server_that_never_served_gives_up_and_says_which_process(supervisor):
    with pytest.raises(StartFailed, match="'web' does not come up"):
        supervisor._mourn(dead("web"))


def test_no_answered_write_waits_in_the_memory_of_redis(tmp_path):
    """With everysec it would, for up to two seconds, while an fsync runs."""
    command = redis_command(tmp_path)
    assert command[command.index("--appendfsync") + 1] == "no"
    assert command[command.index("--appendonly") + 1] == "yes"
    Path(command[command.index("--unixsocket") + 1]).parent.rmdir()
