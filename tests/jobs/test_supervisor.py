"""The whole server, as ``serve`` starts it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
import requests

from backend.errors import StartFailed
from backend.jobs.broker import socket_path
from backend.jobs.supervisor import serve
from backend.settings import Settings
from bench.running_server import running_server
from tests.jobs.conftest import wait_until

pytestmark = pytest.mark.server


def descendants(process):
    return psutil.Process(process.pid).children(recursive=True)


def test_taken_port_is_said_clearly(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartFailed, match=f"Port {port}") as caught:
            serve(Settings.from_env({}, data_dir=tmp_path, port=port))
    assert "--port" in caught.value.advice


def test_folder_that_cannot_be_made_is_said_clearly(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StartFailed, match="cannot be made"):
        serve(Settings.from_env({}, data_dir=tmp_path / "file" / "data"))


def test_server_starts_serves_recovers_and_stops(figure_png):
    with running_server() as server:
        second_server_is_refused(server)
        interrupted_by_ctrl_c_it_leaves_nothing(server, figure_png)
    with running_server() as server:
        killed_it_takes_its_children_along(server)


def second_server_is_refused(server):
    env = os.environ | {"MESHKILN_DATA_DIR": str(server.data_dir), "MESHKILN_PORT": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "backend", "serve"],
        env=env, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Another server uses the data folder" in done.stderr


def interrupted_by_ctrl_c_it_leaves_nothing(server, figure_png):
    workers = requests.get(f"{server.url}/readyz", timeout=5).json()["workers"]
    assert {worker["queue"] for worker in workers} == {"gpu", "cpu"}
    requests.post(f"{server.url}/api/v1/jobs", files={"file": ("a.png", figure_png)}, timeout=10)
    children = descendants(server.process)
    assert len(children) >= 7
    started_s = time.monotonic()
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(timeout=30) == 0
    assert time.monotonic() - started_s < 20
    wait_until(lambda: not any(child.is_running() for child in children))
    assert not socket_path(server.data_dir).parent.exists()


def killed_it_takes_its_children_along(server):
    children = descendants(server.process)
    server.process.kill()
    server.process.wait()
    wait_until(
        lambda: not any(c.is_running() and c.status() != psutil.STATUS_ZOMBIE for c in children)
    )
