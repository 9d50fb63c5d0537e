"""Failures reported for other model servers, each as a test by name."""

from __future__ import annotations

import threading
import time

import pytest

from backend.errors import GpuBusy, ModelTooLarge, OutOfMemory
from backend.residency.controls import offload, release
from backend.residency.records import ModelSpec
from backend.residency.simulated_device import SimulatedDevice
from backend.residency.snapshot import residency_status
from backend.residency.states import Residence

from .conftest import Caller, spec, wait_until


def state(manager, name):
    return manager.table.records[name].state


def test_resurrected_eviction_a_draining_model_gives_no_new_lease(make_manager):
    manager = make_manager(100, models={"a": 60, "b": 60})
    held = manager.lease("a", owner="first job")
    wants_b = Caller(lambda: manager.lease("b", owner="second job"))
    wait_until(lambda: state(manager, "a") is Residence.DRAINING)
    wants_a = Caller(lambda: manager.lease("a", owner="third job"))
    time.sleep(0.05)
    assert wants_a.is_alive(), "a lease was given on a model that is being evicted"
    held.release()
    lease_b = wants_b.finished()
    assert state(manager, "a") is Residence.HOST
    assert wants_a.is_alive()
    lease_b.release()
    wants_a.finished().release()


def test_starved_drain_a_hammered_model_makes_room_in_bounded_time(make_manager):
    manager = make_manager(100, models={"a": 60, "b": 60}, min_residency_s=0.2, idle_grace_s=0.01)
    stop = threading.Event()

    def hammer():
        while not stop.is_set():
            with manager.lease("a"):
                time.sleep(0.001)

    hammers = [Caller(hammer) for _ in range(4)]
    wait_until(lambda: state(manager, "a") is Residence.RESIDENT)
    started = time.monotonic()
    Caller(lambda: manager.lease("b", timeout_s=5).release()).finished()
    waited_s = time.monotonic() - started
    stop.set()
    for caller in hammers:
        caller.finished()
    assert waited_s < 1.5


def test_head_of_line_resident_models_are_leased_while_another_is_evicted(make_manager):
    slow = SimulatedDevice(100, bytes_per_s=200, spend=time.sleep)  # 0.25 s for 50 bytes
    manager = make_manager(device=slow, models={"small": 10, "big": 50, "bigger": 60})
    manager.lease("small").release()
    held = manager.lease("big", owner="long job")
    wants = Caller(lambda: manager.lease("bigger", owner="next job"))
    wait_until(lambda: state(manager, "big") is Residence.DRAINING)
    started = time.monotonic()
    manager.lease("small", owner="quick job").release()
    residency_status(manager)
    while_drained_s = time.monotonic() - started
    held.release()
    wait_until(lambda: state(manager, "bigger") is Residence.RESTORING)
    started = time.monotonic()
    manager.lease("small", owner="quick job").release()
    residency_status(manager)
    while_restored_s = time.monotonic() - started
    wants.finished().release()
    assert max(while_drained_s, while_restored_s) < 0.05


def test_never_fits_fails_at_once_and_evicts_nothing(make_manager):
    manager = make_manager(100, models={"a": 60, "b": 30})
    manager.register(spec("huge", 150, size_hint_bytes=150))
    for name in ("a", "b"):
        manager.lease(name).release()
    before = [t.seq for t in manager.table.transitions]
    with pytest.raises(ModelTooLarge, match="huge needs"):
        manager.lease("huge", vram_extra_bytes=0)
    with pytest.raises(ModelTooLarge):
        manager.lease("b", vram_extra_bytes=80)
    with pytest.raises(ModelTooLarge):
        manager.reserve(101)
    assert [t.seq for t in manager.table.transitions] == before


def test_never_fits_names_the_neighbour_who_holds_the_memory(make_manager):
    mb = 1024 * 1024
    manager = make_manager(100 * mb, models={"a": 60 * mb})
    manager.device.foreign_bytes = 50 * mb
    with pytest.raises(ModelTooLarge, match="50 MB belong to other programs"):
        manager.lease("a")


def test_wrong_model_events_do_not_wake_a_waiter_into_a_lease(make_manager):
    manager = make_manager(100, models={"a": 60, "b": 60, "c": 10})
    manager.lease("c").release()
    held = manager.lease("a", owner="long job")
    wants_b = Caller(lambda: manager.lease("b", owner="waiting job"))
    wait_until(lambda: state(manager, "a") is Residence.DRAINING)
    manager.register(spec("d", 10))
    for _ in range(20):  # many events, none of them about a
        manager.lease("c", owner="noise").release()
        manager.prepare("d")
        release(manager, "d")
    assert wants_b.is_alive()
    assert state(manager, "b") is Residence.HOST
    held.release()
    wants_b.finished().release()


def test_partial_restore_leaves_the_model_on_the_host_and_nothing_on_the_device(make_manager):
    manager = make_manager(100, models={"a": 60})
    manager.device.failures = [RuntimeError("the copy broke off")]
    with pytest.raises(RuntimeError, match="broke off"):
        manager.lease("a", vram_extra_bytes=10)
    assert state(manager, "a") is Residence.HOST
    assert manager.device.block_bytes == 0
    assert manager.table.promised_bytes == 0
    manager.lease("a").release()
    assert state(manager, "a") is Residence.RESIDENT


def test_out_of_memory_on_restore_empties_the_device_and_tries_once_more(make_manager):
    manager = make_manager(100, models={"a": 40, "b": 40})
    manager.lease("a").release()
    manager.device.failures = [OutOfMemory("a neighbour was faster")]
    manager.lease("b").release()
    assert state(manager, "a") is Residence.HOST
    assert state(manager, "b") is Residence.RESIDENT
    offload(manager)
    manager.device.failures = [OutOfMemory(), OutOfMemory()]
    with pytest.raises(OutOfMemory):
        manager.lease("b")
    assert manager.device.block_bytes == 0
    assert not manager.table.records["b"].leases


def test_stale_graphs_are_dropped_before_the_weights_move(make_manager):
    seen = []
    manager = make_manager(100)
    manager.register(
        ModelSpec("a", lambda: 60, before_offload=lambda: seen.append(manager.device.block_bytes))
    )
    manager.lease("a").release()
    offload(manager, "a")
    assert seen == [60], "the graphs must go while their addresses still mean something"


def test_lagging_free_memory_is_waited_for_after_an_eviction(make_manager):
    device = SimulatedDevice(100, frees_late=True)
    manager = make_manager(device=device, models={"a": 60, "b": 60})
    manager.lease("a").release()
    wants_b = Caller(lambda: manager.lease("b", timeout_s=5))
    time.sleep(0.15)
    assert wants_b.is_alive(), "the driver still reports the memory as used"
    device.settle()
    wants_b.finished().release()


def test_two_jobs_that_hold_what_the_other_wants_do_not_wait_for_ever(make_manager):
    manager = make_manager(100, models={"a": 50, "b": 50, "c": 50})
    first, second = manager.lease("a", owner=1), manager.lease("b", owner=2)
    wants = Caller(lambda: manager.lease("c", owner=1, timeout_s=5))  # needs the place of b
    wait_until(lambda: state(manager, "b") is Residence.DRAINING)
    with pytest.raises(GpuBusy, match="itself waits"):
        manager.lease("c", owner=2, timeout_s=5)
    second.release()
    wants.finished().release()
    first.release()
