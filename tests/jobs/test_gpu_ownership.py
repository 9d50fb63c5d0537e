from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from backend.errors import StartFailed
from backend.jobs.gpu_ownership import GpuOwnership

HOLD = """
import sys, time, pathlib
from backend.jobs.gpu_ownership import GpuOwnership
owner = GpuOwnership(pathlib.Path(sys.argv[1]), "GPU-1")
owner.take()
print("held", flush=True)
time.sleep(60)
"""


def test_one_child_holds_a_card_and_the_kernel_frees_it_however_the_child_ends(tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "held\n"
    second = GpuOwnership(tmp_path, "GPU-1")
    with pytest.raises(StartFailed, match="GPU-1"):
        second.take(wait_s=0.2)
    other = GpuOwnership(tmp_path, "GPU-2")
    other.take(wait_s=0)
    other.give_up()
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    second.take(wait_s=2)
    second.give_up()
    third = GpuOwnership(tmp_path, "GPU-1")
    third.take(wait_s=0)
    third.give_up()
