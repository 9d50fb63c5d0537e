from __future__ import annotations

import pytest

from backend.residency.controls import offload
from backend.residency.housekeeper import Housekeeper
from backend.residency.policies import Policy
from backend.residency.states import Outcome, Residence

from .conftest import spec, wait_until


def state(manager, name="a"):
    return manager.table.records[name].state


def test_two_timers_lead_from_the_device_to_memory_to_disk(make_manager, standing_clock):
    manager = make_manager(
        100, clock=standing_clock, models={"a": 60}, policy=Policy.ONE_AT_A_TIME,
        idle_offload_s=60, idle_release_s=600,
    )  # fmt: skip
    keeper = Housekeeper(manager)
    manager.lease("a").release()
    standing_clock.forward(59)
    assert keeper.run_due() == 0
    assert state(manager) is Residence.RESIDENT
    standing_clock.forward(2)
    assert keeper.run_due() == 1
    assert state(manager) is Residence.HOST
    standing_clock.forward(599)
    assert keeper.run_due() == 0
    standing_clock.forward(2)
    assert keeper.run_due() == 1
    assert state(manager) is Residence.UNLOADED
    assert manager.device.copies == []


@pytest.mark.parametrize("timer", [60.0, -1.0])
def test_a_leased_or_kept_model_is_never_idle_and_negative_is_never(
    make_manager, standing_clock, timer
):
    manager = make_manager(
        100, clock=standing_clock, models={"a": 20, "b": 20}, policy=Policy.ONE_AT_A_TIME,
        idle_offload_s=timer, idle_release_s=timer,
    )  # fmt: skip
    manager.register(spec("kept", 20, keep=True))
    manager.lease("kept").release()
    lease = manager.lease("a")
    standing_clock.forward(10_000)
    Housekeeper(manager).run_due()
    assert state(manager, "kept") is Residence.RESIDENT
    assert state(manager) is Residence.RESIDENT
    lease.release()
    standing_clock.forward(10_000)
    Housekeeper(manager).run_due()
    assert state(manager) is (Residence.HOST if timer > 0 else Residence.RESIDENT)


def test_next_due_tells_when_the_first_timer_ends(make_manager, standing_clock):
    manager = make_manager(
        100, clock=standing_clock, models={"a": 20}, policy=Policy.ONE_AT_A_TIME, idle_offload_s=0.5
    )
    keeper = Housekeeper(manager)
    manager.lease("a").release()
    standing_clock.forward(0.2)
    with manager.table:
        assert keeper.next_due_s() == pytest.approx(0.3)


def test_the_thread_finishes_what_the_last_lease_left_behind(make_manager):
    manager = make_manager(100, models={"a": 60, "b": 30}, idle_offload_s=-1, idle_release_s=-1)
    keeper = Housekeeper(manager)
    keeper.start()
    lease = manager.lease("a")
    assert offload(manager, "a") == {"a": Outcome.DRAINING}
    with manager.table.turn(manager.table.call("a transfer", 1, "somebody")):
        lease.release()  # cannot offload now: the transfer is somebody else's
        assert state(manager) is Residence.DRAINING
    wait_until(lambda: state(manager) is Residence.HOST)
    keeper.stop()


def test_the_thread_offloads_an_idle_model_by_real_time(make_manager):
    manager = make_manager(
        100, models={"a": 60}, policy=Policy.ONE_AT_A_TIME, idle_offload_s=0.05, idle_release_s=0.1
    )
    keeper = Housekeeper(manager)
    keeper.start()
    manager.lease("a").release()
    wait_until(lambda: state(manager) is Residence.UNLOADED)
    keeper.stop()
