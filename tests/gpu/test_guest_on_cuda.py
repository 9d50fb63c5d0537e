"""A hosted program in a process of its own on a CUDA device; not part of the default run."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from backend.residency.controls import offload, release
from backend.residency.cuda_device import CudaDevice
from backend.residency.device_with_guests import DeviceWithGuests
from backend.residency.managed.guest_host import GuestHost
from backend.residency.manager import ResidencyManager
from backend.residency.records import ModelSpec
from backend.units import MB
from tests.residency.conftest import PLAIN_RULES

PROGRAMS = Path(__file__).parent.parent / "residency" / "managed" / "programs"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.fixture
def host():
    made = GuestHost(
        "guest", "torch_program:Large", python=sys.executable, path=[PROGRAMS],
        arguments={"size_mb": 512}, device=lambda: "cuda",
    )  # fmt: skip
    yield made
    made.close()


@pytest.fixture
def manager(host):
    rules = replace(PLAIN_RULES, fraction=0.9, pin_budget_bytes=1024 * MB)
    made = ResidencyManager(DeviceWithGuests(CudaDevice()), rules, free_host=lambda: 10**12)
    made.register(ModelSpec("guest", host.load))
    return made


def test_bytes_of_a_guest_come_leave_and_are_counted_once(manager, host):
    def free_bytes() -> int:
        return int(torch.cuda.mem_get_info()[0])

    before = free_bytes()
    with manager.lease("guest") as loaded:
        there = before - free_bytes()
        budget = manager.table.budget(manager.device.memory())
        answer = host.call(loaded, "where", [], {})
        assert answer["device"] == "cuda:0"
        assert there > 512 * MB
        assert budget.models == loaded.size_bytes
        assert budget.models + budget.activations == pytest.approx(there, abs=64 * MB)
        assert loaded.pinned_bytes == loaded.size_bytes
    offload(manager, "guest")
    kept = before - free_bytes()
    assert kept < there - 480 * MB, "the weights have left, the context stays"
    reading = manager.device.memory()
    assert manager.table.budget(reading).activations == pytest.approx(kept, abs=64 * MB)
    with manager.lease("guest") as loaded:
        assert host.call(loaded, "where", [], {})["sum"] == answer["sum"]
    release(manager, "guest", drain=True)
    assert before - free_bytes() < 64 * MB
