from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from backend.jobs.owners import Owner
from backend.jobs.worker_status import read_statuses, write_status

pytestmark = pytest.mark.server


def test_dead_owner_a_worker_that_died_is_not_listed_by_its_last_words(workshop):
    client = workshop.service.events.client
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    here = Owner.this_process()
    born = round(psutil.Process(process.pid).create_time() * 1000)
    epoch = str(Owner(here.host, process.pid, born))
    write_status(client, {"queue": "gpu", "host": "h", "pid": process.pid, "epoch": epoch})
    assert epoch in [status["epoch"] for status in read_statuses(client)]
    process.kill()
    process.wait()
    assert epoch not in [status["epoch"] for status in read_statuses(client)]
