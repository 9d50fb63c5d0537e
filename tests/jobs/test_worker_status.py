from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from backend.jobs.owners import Owner
from backend.jobs.worker_status import read_statuses, write_status

from .scratch_redis import scratch_redis

pytestmark = pytest.mark.server


@pytest.fixture
def client(tmp_path):
    with scratch_redis(tmp_path) as made:
        yield made


def test_dead_owner_a_worker_that_died_is_not_listed_by_its_last_words(client):
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    here = Owner.this_process()
    born = round(psutil.Process(process.pid).create_time() * 1000)
    epoch = str(Owner(here.host, process.pid, born))
    write_status(client, {"queue": "gpu", "host": "h", "pid": process.pid, "epoch": epoch})
    assert epoch in [status["epoch"] for status in read_statuses(client)]
    process.kill()
    process.wait()
    assert epoch not in [status["epoch"] for status in read_statuses(client)]
