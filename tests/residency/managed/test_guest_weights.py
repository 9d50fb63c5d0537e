"""What is counted of a guest on a GPU; the process behind it is scripted."""

from __future__ import annotations

import pytest

from backend.errors import HostedEngineCrashed, HostedEngineFailed, ModelLoadFailed, OutOfMemory
from backend.residency.managed import guest_weights
from backend.residency.managed.guest_weights import GuestWeights, Started
from backend.units import MB


class ScriptedProcess:
    pid = 4711


class ScriptedConnection:
    name = "scripted"

    def __init__(self, clock) -> None:
        self.clock = clock
        self.process = ScriptedProcess()
        self.is_alive = True
        self.figures: dict[str, int] = {}
        self.figures_at_s = float("-inf")
        self.reserved = 0
        self.asked = 0
        self.requests: list[str] = []
        self.faults: dict[str, Exception] = {}

    def request(self, kind, value=None, **_):
        self.requests.append(kind)
        if kind in self.faults:
            raise self.faults.pop(kind)
        self.reserved = {"to_device": 300 * MB, "to_host": 0}.get(kind, self.reserved)

    def refresh(self, _) -> None:
        self.asked += 1
        self.figures = {"reserved": self.reserved, "pinned": 7}
        self.figures_at_s = self.clock.monotonic_s()

    def end(self, grace_s=3.0) -> None:
        self.is_alive = False


class Sampler:
    def __init__(self, *processes) -> None:
        self.processes = list(processes)

    def sample(self):
        return [{"processes": None}, {"processes": self.processes}]


@pytest.fixture
def connection(standing_clock):
    return ScriptedConnection(standing_clock)


@pytest.fixture
def driver(monkeypatch):
    sampler = Sampler()
    monkeypatch.setattr(guest_weights, "telemetry_source", lambda: sampler)
    return sampler


@pytest.fixture
def make(connection, standing_clock):
    def make(device="cuda", movable=True, weights_bytes=256 * MB) -> GuestWeights:
        facts = {
            "weights_bytes": weights_bytes, "resident_bytes": 90 * MB, "movable": movable,
        }  # fmt: skip
        return GuestWeights(lambda: Started(connection, facts), device, standing_clock)

    return make


def test_the_drivers_own_figure_for_the_process_counts_first(make, driver):
    driver.processes.append({"pid": 4711, "mb": 720})
    weights = make()
    weights.to_device()
    weights.note_use(999 * MB)
    assert weights.device_bytes == 720 * MB
    weights.to_host()
    weights.connection.refresh(0)
    assert weights.device_bytes == 420 * MB, "what it keeps after it left"


def test_where_the_driver_does_not_know_the_process_free_memory_tells(
    make, driver, standing_clock, connection
):
    driver.processes.append({"pid": 1, "mb": 5})
    weights = make()
    weights.to_device()
    weights.note_use(700 * MB)
    assert weights.device_bytes == 700 * MB
    asked = connection.asked
    assert weights.device_bytes == 700 * MB
    assert connection.asked == asked, "what is a moment old is not asked again"
    standing_clock.forward(5)
    connection.reserved = 100 * MB
    assert weights.device_bytes == 500 * MB
    connection.is_alive = False
    assert weights.device_bytes == 0


def test_without_modules_a_program_has_the_size_of_its_process_on_a_ledger_alone(make):
    assert make("cpu", weights_bytes=0).size_bytes == 90 * MB
    assert make("cuda", weights_bytes=0).size_bytes == 0


def test_page_locked_memory_is_granted_to_what_moves_on_a_gpu(make, connection):
    assert make().pin(10**12) == 256 * MB
    assert connection.requests == ["pin"]
    assert make("cpu").pin(100) == 0
    assert make(movable=False).pin(100) == 0


def test_what_does_not_answer_leaves_by_its_end(make, connection):
    weights = make()
    weights.to_device()
    connection.faults["to_host"] = HostedEngineFailed("stuck")
    weights.to_host()
    assert not connection.is_alive


def test_faults_on_the_way_to_the_device_are_the_managers_own(make, connection):
    weights = make()
    connection.faults["to_device"] = OutOfMemory("full")
    with pytest.raises(OutOfMemory):
        weights.to_device()
    connection.faults["to_device"] = HostedEngineCrashed("gone")
    with pytest.raises(ModelLoadFailed, match="gone"):
        weights.to_device()
