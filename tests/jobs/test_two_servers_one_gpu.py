"""Two whole servers, each with its own Redis, folder and workers, on one ledger of 1 MB.

The model takes 0.6 MB: only one of the servers can have it there at a time.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import requests

from backend.jobs.broker import redis_url
from backend.jobs.owners import host_name
from backend.jobs.service import JobService
from backend.jobs.states import JobState
from backend.settings import Settings
from backend.units import MB
from bench.running_server import RunningServer, running_server

from .conftest import wait_until
from .scratch_redis import scratch_redis

pytestmark = pytest.mark.server

LEDGER = "trial"
KEY = f"mk:share:ledger:{host_name()}:{LEDGER}"
MODEL = "tiny_transformer"


@dataclass
class Server:
    """One of the two, and a way to its rows."""

    running: RunningServer
    service: JobService

    def submit(self) -> str:
        new = self.service.prepare("image_to_3d", {"preset": "draft"}, "doll")
        return self.service.submit(new, {"image.png": f"lease {MODEL}".encode()})[0].id

    def is_done(self, job_id: str) -> bool:
        job = self.service.store.get(job_id)
        assert job.status not in (JobState.FAILED, JobState.CANCELED), job.error
        return job.status is JobState.SUCCEEDED

    def status(self) -> dict:
        return requests.get(f"{self.running.url}/api/gpu/status", timeout=5).json()

    def model(self) -> dict:
        return next(one for one in self.status()["models"] if one["name"] == MODEL)


class Witness(threading.Thread):
    """Reads what is held on the ledger all the time, and whether a model in use was taken."""

    def __init__(self, client, servers) -> None:
        super().__init__(daemon=True)
        self.client, self.servers = client, servers
        self.most_held = self.most_claimed = self.looks = 0
        self.taken: list[dict] = []
        self.wishes = 0
        self.stop = threading.Event()
        self.start()

    def run(self) -> None:
        while not self.stop.wait(0.02):
            rows = self.client.hgetall(KEY)
            holders = [json.loads(v) for k, v in rows.items() if k.startswith("h:")]
            self.most_held = max(self.most_held, sum(h["held"] for h in holders))
            claims = sum(max(h["grant"], h["held"]) for h in holders)
            self.most_claimed = max(self.most_claimed, claims)
            self.wishes = max(self.wishes, sum(k.startswith("w:") for k in rows))
            self.looks += 1
            if self.looks % 10 == 0:
                models = [model for one in self.servers for model in self._models(one)]
                self.taken += [m for m in models if m["leases"] and not m["vram_mb"]]

    def _models(self, server) -> list[dict]:
        with contextlib.suppress(requests.RequestException):  # one of them is killed
            return server.status()["models"]
        return []


@contextlib.contextmanager
def two_servers(share_url):
    values = {
        "MESHKILN_GPU": "cpu",
        "MESHKILN_CPU_WORKERS": "1",
        "MESHKILN_GPU_SHARE_URL": f"{share_url}#{LEDGER}",
        "MESHKILN_LEDGER_VRAM_MB": "1",
        "MESHKILN_VRAM_RESERVE_MB": "0",
        "MESHKILN_PIPELINE_RUNNER": "tests.jobs.scripted_runner:run_scripted",
        "MESHKILN_MODEL_CATALOGUE": "tests.residency.tiny_catalogue:register",
    }
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(2) as pool:

        def start(_) -> Server:
            running = stack.enter_context(running_server(**values))
            folder = running.data_dir
            rows = Settings.from_env({}, data_dir=folder, redis_url=redis_url(folder))
            service = JobService(rows)
            stack.callback(service.close)
            return Server(running, service)

        yield [*pool.map(start, range(2))]


def test_two_servers_share_a_device_that_has_room_for_one(tmp_path):
    with scratch_redis(tmp_path) as client, two_servers(redis_url(tmp_path)) as servers:
        witness = Witness(client, servers)
        try:
            jobs_on_both_succeed(servers)
            assert witness.wishes > 0, "nobody had to ask"
            what_is_known_is_shown(servers)
            a_server_that_dies_in_a_job_frees_its_grant(client, servers)
        finally:
            witness.stop.set()
            witness.join()
        assert 0.5 * MB < witness.most_held <= MB
        assert witness.most_claimed <= MB
        assert not witness.taken


def jobs_on_both_succeed(servers):
    jobs = [(server, server.submit()) for server in servers]
    wait_until(lambda: all(server.is_done(job) for server, job in jobs))


def what_is_known_is_shown(servers):
    def seen():
        share = servers[0].status()["residency"]["share"]
        return share if share["neighbours"] else None

    share = wait_until(seen)
    port = servers[1].running.url.rpartition(":")[2]
    assert share["state"] == "online"
    assert share["neighbours"][0]["name"] == f"{host_name()}:{port}"
    page = requests.get(f"{servers[0].running.url}/gpu", timeout=5).text
    assert f"{host_name()}:{port}" in page


def a_server_that_dies_in_a_job_frees_its_grant(client, servers):
    """The one waits while the other stands still in the middle of a job, and no longer."""
    first, second = servers
    first.submit()
    wait_until(lambda: first.model()["leases"])
    pid = next(one["pid"] for one in first.service.worker_status() if one["queue"] == "gpu")
    os.kill(pid, signal.SIGSTOP)
    waiting = second.submit()
    wait_until(lambda: any(name.startswith("w:") for name in client.hkeys(KEY)))
    assert second.model()["vram_mb"] == 0
    first.running.process.kill()  # nobody is left to start the worker again
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: second.is_done(waiting))
