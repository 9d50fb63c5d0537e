"""What dead workers held is passed on beside the loop that restarts them."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
import redis
from sqlalchemy.exc import OperationalError

from backend.jobs.left_work import LeftWork
from backend.jobs.supervisor import Supervisor
from backend.settings import Settings
from tests.jobs.conftest import wait_until


class ScriptedService:
    """Stands for the service: ``release`` is what its claims do; notes which queues were rung."""

    def __init__(self, release):
        self.rung = []
        self.claims = SimpleNamespace(release_lost=release)
        self.looks = None
        self.store = SimpleNamespace(waiting_queues=lambda: ["gpu", "cpu"])
        self.doorbell = SimpleNamespace(ring=self.rung.append)


@pytest.fixture
def left_work():
    made = []

    def make(release):
        service = ScriptedService(release)
        made.append(LeftWork(service))
        return made[-1], service

    yield make
    for one in made:
        one.close()


def test_a_death_frees_jobs_and_wakes_every_queue_that_waits(left_work):
    freed = []

    def release():
        freed.append(list(service.rung))
        return []

    told, service = left_work(release)
    told.tell()
    wait_until(lambda: len(service.rung) == 2)
    assert freed == [[]], "jobs are free before anybody is woken"
    assert service.rung == ["gpu", "cpu"]


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("UPDATE", {}, Exception("database is locked")),
        redis.ResponseError("UNBLOCKED"),
        RuntimeError("anything else"),
    ],
)
def test_a_failure_is_logged_and_the_next_death_is_worked_off(left_work, caplog, error):
    failures = [error]

    def release():
        if failures:
            raise failures.pop()
        return []

    told, service = left_work(release)
    told.tell()
    wait_until(lambda: "was not passed on" in caplog.text)
    assert service.rung == []
    told.tell()
    wait_until(lambda: service.rung == ["gpu", "cpu"])


def test_a_blocked_database_does_not_hold_up_the_supervisor(tmp_path, left_work):
    inside, free = threading.Event(), threading.Event()

    def release():
        inside.set()
        free.wait(30)
        return []

    told, service = left_work(release)
    supervisor = Supervisor(Settings.from_env({}, data_dir=tmp_path, gpu="cpu"))
    supervisor._ready = True
    supervisor._left_work = told
    died = SimpleNamespace(spec=SimpleNamespace(name="gpu-worker"), starts=1, tail=[])
    supervisor._mourn(died)
    assert inside.wait(5)
    supervisor._mourn(died)  # returns, although the first is still under way
    assert service.rung == []
    free.set()
    wait_until(lambda: service.rung == ["gpu", "cpu"] * 2)


def test_closing_ends_the_thread(left_work):
    told, service = left_work(list)
    told.close()
    told.tell()
    assert not told._thread.is_alive()
    assert service.rung == []
