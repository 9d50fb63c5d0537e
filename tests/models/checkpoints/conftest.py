from __future__ import annotations

from datetime import UTC, datetime

import pytest

from backend.models.checkpoints.places import Places
from backend.settings import Settings


class FixedClock:
    """A clock that stands still."""

    def now(self) -> datetime:
        return datetime(2026, 11, 21, 12, tzinfo=UTC)

    def monotonic_s(self) -> float:
        return 0.0


@pytest.fixture
def clock():
    return FixedClock()


@pytest.fixture
def environment(tmp_path):
    """Variables that keep the search inside the test's folder."""
    return {"HY3DGEN_MODELS": str(tmp_path / "authors"), "HF_HUB_CACHE": str(tmp_path / "cache")}


@pytest.fixture
def settings(tmp_path):
    return Settings(data_dir=tmp_path / "data", model_path=str(tmp_path / "own"))


@pytest.fixture
def places(settings, environment):
    return Places.of(settings, environment)
