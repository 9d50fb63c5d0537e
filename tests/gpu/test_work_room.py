from __future__ import annotations

from dataclasses import replace

import pytest

from backend.gpu.work_room import DeviceUse, WorkRoom, ceiling_bytes, room_for_work
from backend.gpu_optimizer import GPUOptimizer
from backend.residency.budget import budget_of
from backend.residency.device import MemoryReading
from backend.units import MB

CARD = DeviceUse(
    total=24_000 * MB, free=24_000 * MB, reserved=0, held=0, fraction=0.9, reserve=512 * MB
)
WEIGHTS = 1_000 * MB


def test_an_empty_card_gives_all_but_the_weights_and_what_the_limits_keep():
    room = room_for_work(CARD, WEIGHTS)
    assert room.most == room.as_it_is == 21_600 * MB - WEIGHTS
    wide = replace(CARD, fraction=1.0)
    assert room_for_work(wide, WEIGHTS).most == 24_000 * MB - 512 * MB - WEIGHTS


def test_other_networks_of_ours_can_leave_and_other_programs_cannot():
    ours = replace(CARD, free=14_000 * MB, reserved=10_000 * MB, held=9_000 * MB)
    room = room_for_work(ours, WEIGHTS)
    assert room.most == room_for_work(CARD, WEIGHTS).most
    assert room.as_it_is == room.most - 9_000 * MB
    theirs = replace(CARD, free=14_000 * MB)
    assert room_for_work(theirs, WEIGHTS).most == 14_000 * MB - 512 * MB - WEIGHTS


@pytest.mark.parametrize("weights", [21_600 * MB, 30_000 * MB])
def test_weights_that_fill_the_card_leave_nothing_rather_than_less(weights):
    assert room_for_work(CARD, weights) == WorkRoom(0, 0)
    assert WorkRoom(0, 0).modest(-5) == 0


def test_modest_work_leaves_half_of_what_is_free_and_keeps_to_its_limit():
    room = WorkRoom(most=20_000, as_it_is=6_000)
    assert room.modest(10_000) == 3_000
    assert room.modest(2_000) == 2_000


def test_the_optimizer_and_the_residency_draw_the_same_line():
    """A plan within the room is one that a lease is granted for."""
    reading = MemoryReading(24_000 * MB, 9_000 * MB, 6_000 * MB, 5_000 * MB)
    use = DeviceUse(reading.total_bytes, reading.free_bytes, reading.reserved_bytes, 0, 0.9, 0)
    budget = budget_of(reading, 0, 0, fraction=0.9, margin=0)
    assert use.ceiling == budget.ceiling == 15_000 * MB
    optimizer = GPUOptimizer(read_status=dict)
    assert optimizer.work_room(use, WEIGHTS) == room_for_work(use, WEIGHTS)


def test_a_reserve_beyond_the_card_leaves_no_less_than_nothing():
    assert ceiling_bytes(1_000, 1_000, 0, fraction=0.9, reserve=2_000) == 0
