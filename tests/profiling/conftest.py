from __future__ import annotations

import pytest

from backend.profiling import recorder


class CountedClock:
    """A clock in ns that stands until it is moved."""

    def __init__(self, start_ns: int = 1_000) -> None:
        self.now_ns = start_ns

    def __call__(self) -> int:
        return self.now_ns

    def forward(self, ns: int) -> None:
        self.now_ns += ns


@pytest.fixture
def clock_ns():
    return CountedClock()


@pytest.fixture
def told():
    profiles = []
    recorder.add_listener(profiles.append)
    yield profiles
    recorder.remove_listener(profiles.append)
