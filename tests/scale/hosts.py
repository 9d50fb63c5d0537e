"""Several hosts on this machine, each with name, folder and processes; what they share is apart."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from backend.jobs.broker import find_redis_server
from backend.jobs.redis_url import connect
from backend.settings import Settings
from bench.running_server import free_port
from tests.jobs.conftest import wait_until

RUNNER = {
    "MESHKILN_PIPELINE_RUNNER": "tests.jobs.scripted_runner:run_scripted",
    "MESHKILN_MODEL_CATALOGUE": "tests.residency.tiny_catalogue:register",
}


@dataclass
class Host:
    """One ``serve --only`` with all its processes."""

    name: str
    settings: Settings
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        return f"http://{self.settings.host}:{self.settings.port}"

    def kill(self) -> None:
        """The power fails: everything ends at once, nobody says goodbye."""
        family = [psutil.Process(self.process.pid)]
        family += family[0].children(recursive=True)
        for process in family:
            process.suspend()  # so that nobody restarts or reports anybody
        for process in family:
            process.kill()
        self.process.wait()

    def wait_ready(self) -> None:
        def ready():
            said = self.log.read_text(errors="replace")
            assert self.process.poll() is None, said
            return "ready" in said

        wait_until(ready, 90)


@contextlib.contextmanager
def host(name: str, only: str, settings: Settings) -> Iterator[Host]:
    """Start a host; it is stopped at the end unless it was killed."""
    settings.data_dir.mkdir(parents=True)
    env = os.environ | settings.to_env() | RUNNER | {"MESHKILN_HOST_NAME": name}
    log = settings.data_dir / "serve.log"
    command = [sys.executable, "-m", "backend", "serve", "--only", only]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=env, stdout=output, stderr=output)
    made = Host(name, settings, process, log)
    try:
        yield made
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                made.kill()


@contextlib.contextmanager
def redis_on_tcp(folder: Path) -> Iterator[str]:
    """A Redis as another machine would reach it."""
    port = free_port()
    command = [str(find_redis_server()), "--port", str(port), "--bind", "127.0.0.1",
               "--save", "", "--dir", str(folder)]  # fmt: skip
    url = f"redis://127.0.0.1:{port}/0"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        client = connect(url, socket_timeout=1)
        wait_until(lambda: _answers(client))
        client.close()
        yield url
        process.terminate()


def _answers(client) -> bool:
    import redis

    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
