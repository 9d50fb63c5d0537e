"""A real server on a free port with its own data folder, for the benchmarks."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import requests

REPO = Path(__file__).parent.parent
READY_S = 60.0
LOG = "server.log"
TAIL = 4000
NO_LIMIT = "1000000"


@dataclass
class RunningServer:
    """Address and supervisor process of a server, and a key if it asks for one."""

    url: str
    process: subprocess.Popen[bytes]
    data_dir: Path
    ready_s: float
    key: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What every request to it carries."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def told(self) -> str:
        """Return the end of what it and its workers wrote, which says why a job has failed."""
        return (self.data_dir / LOG).read_text(errors="replace")[-TAIL:]

    def stop(self) -> None:
        """Stop it and wait for its end; a second time does nothing."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)

    def web_process(self) -> psutil.Process:
        """The process that answers requests: the child of gunicorn's arbiter."""
        for child in psutil.Process(self.process.pid).children(recursive=True):
            line = " ".join(child.cmdline())
            if "gunicorn" in line and not any(
                "gunicorn" in " ".join(c.cmdline()) for c in child.children()
            ):
                return child
        raise RuntimeError("no web process")


def free_port() -> int:
    """Ask the system for a port nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def running_server(**environment: str) -> Iterator[RunningServer]:
    """Start ``python -m backend serve``, wait until it is ready, stop it at the end.

    With ``MESHKILN_REQUIRE_KEY`` a key is made that may send as much as it likes.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="mk-bench-") as folder:
        env = os.environ | {"MESHKILN_DATA_DIR": folder, "MESHKILN_PORT": str(port)} | environment
        key = _make_key(env) if "MESHKILN_REQUIRE_KEY" in environment else None
        started_s = time.monotonic()
        with Path(folder, LOG).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "backend", "serve"],
                cwd=REPO,
                env=env,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        url = f"http://127.0.0.1:{port}"
        server = RunningServer(url, process, Path(folder), 0.0, key)
        try:
            _wait_ready(url, process)
            server.ready_s = time.monotonic() - started_s
            yield server
        finally:
            server.stop()


def _make_key(env: dict[str, str]) -> str:
    """Make a key for a server that is not started yet; it would not start without one."""
    command = [sys.executable, "-m", "backend", "keys", "create", "bench", "--admin",
               "--submits-per-min", NO_LIMIT, "--reads-per-min", NO_LIMIT]  # fmt: skip
    made = subprocess.run(command, cwd=REPO, env=env, check=True, capture_output=True, text=True)
    return made.stdout.strip()


def _wait_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + READY_S
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode}")
        try:
            if requests.get(f"{url}/readyz", timeout=2).status_code == 200:
                return
        except requests.RequestException:
            pass
        time.sleep(0.05)
    raise RuntimeError("the server did not become ready")
