from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from backend.jobs.broker import redis_command, redis_url
from backend.jobs.redis_url import connect
from backend.jobs.service import JobService
from backend.jobs.states import JobState
from backend.jobs.store import JobStore, NewJob
from backend.settings import Settings
from backend.units import new_id
from tests.databases import database_url


class ScriptedClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 21, tzinfo=UTC)

    def now(self) -> datetime:
        self.moment += timedelta(milliseconds=1)  # no two moments are the same
        return self.moment

    def monotonic_s(self) -> float:
        return self.moment.timestamp()

    def forward(self, **span: float) -> None:
        self.moment += timedelta(**span)


@pytest.fixture
def clock():
    return ScriptedClock()


@pytest.fixture
def store(tmp_path, clock):
    url = database_url(tmp_path) or f"sqlite:///{tmp_path / 'jobs.sqlite3'}"
    made = JobStore(url, clock, max_queued_jobs=50)
    yield made
    made.close()


@pytest.fixture
def new_job(clock):
    def make(**fields) -> NewJob:
        base = NewJob(
            id=new_id(clock.now()),
            pipeline="image_to_3d",
            name="doll.png",
            params={"preset": "draft"},
            queue="gpu",
            inputs=("image.png",),
            stages=("image_preprocessing", "mesh_export"),
            batch_key="b",
            cost_key="c",
        )
        return replace(base, **fields)

    return make


@pytest.fixture
def service(tmp_path, clock):
    """A service whose Redis does not answer."""
    settings = Settings.from_env(
        {}, data_dir=tmp_path, disk_floor_mb=1, database_url=database_url(tmp_path)
    )
    made = JobService(settings, clock)
    yield made
    made.close()


SCRIPTED = "tests.jobs.scripted_runner:run_scripted"


@dataclass
class Workshop:
    """A real Redis and a real Celery worker that runs scripted pipelines."""

    service: JobService
    settings: Settings
    redis: subprocess.Popen
    runner: str = SCRIPTED
    worker: subprocess.Popen | None = None

    def start_redis(self) -> None:
        self.redis = subprocess.Popen(
            redis_command(self.settings.data_dir), stdout=subprocess.DEVNULL
        )
        wait_until(self._redis_answers)

    def start_worker(self) -> None:
        self.worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "backend.jobs.worker:app", "worker",
             "-Q", "gpu", "-P", "prefork", "-c", "1", "-n", "gpu@%h",
             "--without-gossip", "--without-mingle", "--without-heartbeat"],
            env={**os.environ, **self.settings.to_env(), "MESHKILN_WORKER_QUEUE": "gpu",
                 "MESHKILN_PIPELINE_RUNNER": self.runner,
                 "MESHKILN_MODEL_CATALOGUE": "tests.residency.tiny_catalogue:register"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        wait_until(self.service.worker_status)

    def child_pid(self) -> int:
        return wait_until(self.service.worker_status)[0]["pid"]

    def kill_worker(self) -> None:
        os.killpg(self.worker.pid, signal.SIGKILL)
        self.worker.wait()

    def submit(self, order: str):
        new = self.service.prepare("image_to_3d", {"preset": "draft"}, order)
        return self.service.submit(new, {"image.png": order.encode()})[0]

    def wait_for(self, job_id: str, *states: JobState, timeout_s: float = 30):
        def arrived():
            job = self.service.store.get(job_id)
            return job if job.status in states else None

        return wait_until(arrived, timeout_s)

    def _redis_answers(self) -> bool:
        try:
            return bool(connect(self.settings.redis_url, socket_timeout=1).ping())
        except OSError:
            return False
        except Exception as error:
            if type(error).__module__.startswith("redis"):
                return False
            raise


def wait_until(ask, timeout_s: float = 30):
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError("it did not come about in time")


@contextmanager
def open_workshop(folder: Path, runner: str = SCRIPTED) -> Iterator[Workshop]:
    settings = Settings.from_env(
        {}, data_dir=folder, disk_floor_mb=1, lease_s=4.0, lease_beat_s=1.0,
        reconcile_s=0.5, cancel_grace_s=1.0, database_url=database_url(folder),
    )  # fmt: skip
    settings = replace(settings, redis_url=redis_url(folder))
    shop = Workshop(None, settings, None, runner)
    shop.start_redis()
    shop.service = JobService(settings)
    shop.service.start_background()
    shop.start_worker()
    yield shop
    shop.service.close()
    for process in (shop.worker, shop.redis):
        if process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
        process.wait()


@pytest.fixture
def workshop(tmp_path):
    with open_workshop(tmp_path) as shop:
        yield shop


@pytest.fixture(scope="module")
def shared_workshop(tmp_path_factory):
    """One for all tests of a file, each of which leaves a worker that waits for jobs."""
    with open_workshop(tmp_path_factory.mktemp("workshop")) as shop:
        yield shop


@pytest.fixture
def hung_redis():
    """A Redis that takes connections and never answers; counts what it was asked."""
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        open_ones = []

        def accept():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                open_ones.append(connection)
                asked.append(connection)

        threading.Thread(target=accept, daemon=True).start()
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}", asked
        for connection in open_ones:
            connection.close()
