"""An app on an empty data folder; Redis is absent unless a test asks for one."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from backend.jobs.broker import find_redis_server
from backend.jobs.claims import ClaimedJob
from backend.jobs.service import JobService
from backend.settings import Settings
from backend.web.app import create_app
from tests.conftest import png_bytes
from tests.databases import database_url


@dataclass(frozen=True)
class MadeFile:
    name: str
    format: str
    role: str
    path: Path


class Server:
    """The app, a client of it, and a worker's hands."""

    def __init__(self, settings: Settings) -> None:
        self.service = JobService(settings)
        self.app: Flask = create_app(settings, self.service)
        self.client: FlaskClient = self.app.test_client()

    def submit(self, png: bytes, **fields: Any) -> dict[str, Any]:
        answer = self.post(png, **fields)
        assert answer.status_code == 202, answer.text
        return answer.json

    def post(self, data: bytes, filename: str = "doll.png", headers: Any = None, **fields: Any):
        form = {"pipeline": "image_to_3d", "file": (io.BytesIO(data), filename), **fields}
        return self.client.post("/api/v1/jobs", data=form, headers=headers)

    def claim(self, queue: str = "gpu") -> ClaimedJob:
        return self.service.claims.claim(queue, "test:1:1", max_n=1)[0]

    def finish(self, job: ClaimedJob, files: dict[str, bytes]) -> None:
        folder = self.service.artefacts.work_dir(job.id, job.attempt)
        made = []
        for name, data in files.items():
            (folder / name).write_bytes(data)
            made.append(MadeFile(name, name.rpartition(".")[2], name.split(".")[0], folder / name))
        outputs = self.service.artefacts.publish(job.id, job.attempt, made)
        assert self.service.claims.finish(job, outputs, {})

    def count(self) -> int:
        return len(self.service.store.list().items)


@contextlib.contextmanager
def serving(tmp_path: Path, **values: Any) -> Iterator[Server]:
    folder = values.get("data_dir", tmp_path / "data")
    defaults: dict[str, Any] = {
        "data_dir": folder, "disk_floor_mb": 1, "database_url": database_url(folder)
    }  # fmt: skip
    server = Server(Settings(**(defaults | values)))
    try:
        yield server
    finally:
        server.service.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path) as made:
        yield made


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    with contextlib.ExitStack() as stack:
        yield lambda **values: stack.enter_context(serving(tmp_path, **values))


@pytest.fixture(scope="session")
def redis_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = Path("/tmp") / f"mk-web-{os.getpid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "r.sock"
    command = [str(find_redis_server()), "--port", "0", "--unixsocket", str(path), "--save", "",
               "--dir", str(tmp_path_factory.mktemp("redis")), "--appendonly", "no"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_for(path.exists)
        yield f"unix://{path}"
        process.terminate()
    path.unlink(missing_ok=True)
    folder.rmdir()


@pytest.fixture
def live_server(tmp_path: Path, redis_address: str) -> Iterator[Server]:
    """An app with a Redis."""
    with serving(tmp_path, redis_url=redis_address) as made:
        yield made


def wait_for(check: Callable[[], Any], timeout_s: float = 10.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := check():
            return found
        time.sleep(0.02)
    raise AssertionError(f"{check} did not become true within {timeout_s} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Gunicorn:
    """A real web process, and a service on the same data folder."""

    port: int
    process: subprocess.Popen[bytes]
    service: JobService
    log: Path

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}"


@contextlib.contextmanager
def gunicorn(folder: Path, redis_address: str, **values: Any) -> Iterator[Gunicorn]:
    settings = Settings(
        data_dir=folder, port=free_port(), redis_url=redis_address, disk_floor_mb=1,
        database_url=database_url(folder), **values,
    )  # fmt: skip
    log = folder.parent / "gunicorn.log"
    command = [sys.executable, "-m", "gunicorn", "-c", "python:backend.web.gunicorn_config",
               "backend.web.app:create_app()"]  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=os.environ | settings.to_env()
        )
    service = JobService(settings)
    try:
        wait_for(lambda: _answers(f"http://127.0.0.1:{settings.port}/healthz"), timeout_s=30)
        yield Gunicorn(settings.port, process, service, log)
    finally:
        service.close()
        process.terminate()
        process.wait(timeout=20)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def small_png() -> bytes:
    image = Image.new("RGB", (64, 48), "white")
    image.paste((200, 30, 30), (16, 8, 48, 40))
    return png_bytes(image)


@pytest.fixture
def keyed(make_server):
    """A server that asks for keys."""
    return make_server(require_key=True)


@pytest.fixture
def caller(keyed):
    """Makes somebody with a key of their own."""
    from tests.web.keyed import Caller  # which knows the server of this file

    return lambda name, **options: Caller(keyed, name, **options)


@pytest.fixture
def ann(caller):
    return caller("ann")


@pytest.fixture
def ben(caller):
    return caller("ben")


@pytest.fixture
def boss(caller):
    return caller("boss", is_admin=True)
