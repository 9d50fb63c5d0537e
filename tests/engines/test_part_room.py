"""What a stage may take follows networks that are there, promises and settings."""

from __future__ import annotations

import pytest
import torch

from backend.engines.part_room import room_beside, work_room
from backend.residency import process
from backend.residency.process import ProcessResidency
from backend.residency.records import ModelSpec
from backend.settings import Settings
from backend.units import MB

TOTAL, RESERVE, WEIGHTS = 8_000 * MB, 100 * MB, 500 * MB
WITHIN = 7_200 * MB
"""Ninety per cent of it."""


class Network(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(2 * MB // 4))


@pytest.fixture
def residency(monkeypatch, tmp_path):
    settings = Settings.from_env(
        {}, data_dir=tmp_path, gpu="cpu", ledger_vram_mb=8_000, vram_reserve_mb=100
    )
    made = ProcessResidency(settings)
    made.register(ModelSpec("other", Network, "other"))
    monkeypatch.setattr(process, "_current", made)
    yield made
    made.close()


@pytest.mark.usefixtures("residency")
def test_an_empty_device_gives_all_within_the_limits():
    assert room_beside(WEIGHTS) == WITHIN - WEIGHTS
    assert work_room(WEIGHTS).as_it_is == WITHIN - WEIGHTS


def test_what_others_hold_counts_only_as_long_as_nobody_has_to_leave(residency):
    with residency.manager().lease("other", vram_extra_bytes=300 * MB):
        room = work_room(WEIGHTS)
        assert room.most == WITHIN - WEIGHTS
        held = room.most - room.as_it_is
        assert 302 * MB <= held < 303 * MB
        own = work_room(WEIGHTS, held_bytes=2 * MB)
        assert own.most - own.as_it_is == held - 2 * MB


def test_settings_that_change_while_it_runs_are_heeded(residency):
    residency.change_rules(fraction=0.5)
    assert room_beside(WEIGHTS) == TOTAL // 2 - WEIGHTS
    residency.change_rules(fraction=1.0)
    assert room_beside(WEIGHTS) == TOTAL - RESERVE - WEIGHTS
