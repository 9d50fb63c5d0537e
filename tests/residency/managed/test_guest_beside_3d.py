"""A program whose packages clash with ours, served beside the 3D pipeline of a whole server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import psutil
import pytest

from backend.jobs.broker import redis_url
from backend.jobs.service import JobService
from backend.jobs.states import TERMINAL
from backend.settings import Settings
from bench.running_server import running_server
from tests.jobs.conftest import wait_until

pytestmark = pytest.mark.server

RUNNER = "tests.residency.managed.guest_runner"
OLD = """
__version__ = "16.8"


class LegacyVersion:
    def __init__(self, text):
        self.text = text
"""


@pytest.fixture
def old_venv(tmp_path):
    """An environment of its own with a version of a package that the server could not use."""
    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    (packages / "packaging").mkdir()
    (packages / "packaging" / "__init__.py").write_text(OLD)
    assert metadata.version("packaging") != "16.8"
    return folder


@pytest.fixture
def server(old_venv):
    values = {
        "MESHKILN_GPU": "cpu",
        "MESHKILN_CPU_WORKERS": "2",
        "MESHKILN_PIPELINE_RUNNER": f"{RUNNER}:run_beside",
        "MESHKILN_MODEL_CATALOGUE": f"{RUNNER}:register",
        "OLD_PROGRAM_VENV": str(old_venv),
    }
    with running_server(**values) as running:
        yield running


@pytest.fixture
def service(server):
    folder = server.data_dir
    made = JobService(Settings.from_env({}, data_dir=folder, redis_url=redis_url(folder)))
    yield made
    made.close()


def test_it_is_served_beside_3d_and_its_death_harms_nobody(server, service, figure_png, tmp_path):
    def submit(content: bytes) -> str:
        new = service.prepare("image_to_3d", {"preset": "draft"}, "doll")
        return service.submit(new, {"image.png": content})[0].id

    def finished(job_id: str):
        def ended():
            job = service.store.get(job_id)
            return job if job.status in TERMINAL else None

        return wait_until(ended, 60)

    marker = tmp_path / "pid"
    held = submit(f"guest hold {marker}".encode())
    meanwhile = submit(figure_png)
    pid = int(wait_until(lambda: marker.exists() and marker.read_text()))
    assert finished(meanwhile).status == "succeeded", "3D work goes on beside it"
    assert service.store.get(held).status == "running"
    os.kill(pid, signal.SIGKILL)
    job = finished(held)
    assert job.status == "failed"
    assert job.error["code"] == "hosted-engine-crashed"
    assert "SIGKILL" in job.error["detail"]
    after = [submit(b"guest versions"), submit(figure_png)]
    jobs = [finished(job_id) for job_id in after]
    assert [job.status for job in jobs] == ["succeeded"] * 2
    assert jobs[0].facts["answer"] == {"packaging": "16.8", "legacy": "1.0-old"}
    nothing_is_left(server, pid)


def nothing_is_left(server, pid: int) -> None:
    family = psutil.Process(server.process.pid).children(recursive=True)
    assert pid not in [process.pid for process in family]
    guests = [p for p in family if "boot.py" in " ".join(p.cmdline())]
    assert len(guests) <= 2, "one for each worker at most"
    assert not [p for p in family if p.status() == psutil.STATUS_ZOMBIE]
    assert not list(Path(server.data_dir).glob("**/*.tmp"))
