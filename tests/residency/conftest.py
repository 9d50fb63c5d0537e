from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from backend.residency.manager import ResidencyManager
from backend.residency.policies import Policy, ResidencyRules
from backend.residency.records import ModelSpec
from backend.residency.simulated_device import SimulatedDevice

PLAIN_RULES = ResidencyRules(
    policy=Policy.RESIDENT,
    fraction=1.0,
    margin_bytes=0,
    pin_budget_bytes=10**12,
    min_residency_s=0.0,
    idle_grace_s=0.0,
    lease_timeout_s=5.0,
)


class StandingClock:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.elapsed_s = 1000.0

    def now(self) -> datetime:
        return datetime(2026, 11, 21, tzinfo=UTC) + timedelta(seconds=self.elapsed_s)

    def monotonic_s(self) -> float:
        return self.elapsed_s

    def forward(self, seconds: float) -> None:
        self.elapsed_s += seconds


def spec(name: str, size: int, **more) -> ModelSpec:
    return ModelSpec(name, lambda: size, **more)


@pytest.fixture
def standing_clock():
    return StandingClock()


@pytest.fixture
def make_manager():
    def make(total: int = 100, *, device=None, clock=None, models=(), **rules) -> ResidencyManager:
        from dataclasses import replace

        made = ResidencyManager(
            device or SimulatedDevice(total),
            replace(PLAIN_RULES, **rules),
            clock,
            free_host=lambda: 10**12,
        )
        for name, size in dict(models).items():
            made.register(spec(name, size))
        return made

    return make


class Caller(threading.Thread):
    """A thread that keeps what its function returned or raised."""

    def __init__(self, work) -> None:
        super().__init__(daemon=True)
        self._work = work
        self.result = None
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self.result = self._work()
        except Exception as error:  # noqa: BLE001  the thread that asks raises it
            self.error = error

    def finished(self, within_s: float = 5.0):
        self.join(within_s)
        assert not self.is_alive(), "the caller still waits"
        if self.error:
            raise self.error
        return self.result


def wait_until(fact, within_s: float = 5.0) -> None:
    pause = threading.Event()
    for _ in range(int(within_s / 0.002)):
        if fact():
            return
        pause.wait(0.002)
    raise AssertionError("it did not come true in time")
