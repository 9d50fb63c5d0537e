from __future__ import annotations

import pytest

from backend.residency.ledger_device import LedgerDevice
from backend.residency.managed.managed_engine import ManagedEngine
from backend.residency.process import ProcessResidency
from backend.settings import Settings
from backend.units import MB

from .speech_shaped import TinyTTS


@pytest.fixture
def open_ledger():
    """Open a residency on a ledger of real tensors; its timers stand unless the clock is real."""
    opened = []

    def open_it(total_bytes: int = 64 * MB, clock=None, **settings) -> ProcessResidency:
        device = LedgerDevice(total_bytes)
        given = {
            "residency": "offload_after_use",
            "vram_fraction": 1.0,
            "vram_reserve_mb": 0,
            "pin_budget_mb": 0,
        } | settings
        residency = ProcessResidency(Settings(**given), clock, lambda _: device)
        opened.append(residency)
        return residency

    yield open_it
    for residency in opened:
        residency.close()


@pytest.fixture
def residency(open_ledger):
    return open_ledger()


@pytest.fixture
def make_engine(residency):
    def make(factory=TinyTTS, methods=("clone", "edit"), name="tts", **more) -> ManagedEngine:
        return ManagedEngine(name, factory, methods, **({"residency": residency} | more))

    return make


def bytes_there(residency: ProcessResidency) -> int:
    """Bytes on the device by its own count."""
    return residency.manager().device.memory().allocated_bytes


def state_of(residency: ProcessResidency, name: str = "tts") -> str:
    rows = residency.status()["models"]
    return next(row["state"] for row in rows if row["name"] == name)
