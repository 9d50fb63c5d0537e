from __future__ import annotations

import contextlib
import gc
import threading
import time
import weakref

import pytest
import torch

from backend.errors import (
    GpuBusy,
    InvalidParameter,
    JobCanceled,
    ModelLoadFailed,
    ModelTooLarge,
    OutOfMemory,
)
from backend.progress import SilentSink, StageProgress, heeding, stop_if_asked
from backend.residency import controls
from backend.residency.housekeeper import Housekeeper
from backend.residency.ledger_device import LedgerDevice
from backend.residency.policies import Policy
from backend.residency.records import ModelSpec
from backend.residency.simulated_device import SimulatedDevice
from backend.residency.states import Outcome, PinState, Residence
from backend.units import MB

from .conftest import Caller, spec, wait_until
from .tiny_catalogue import register
from .tiny_models import TINY_MODELS


def state(manager, name="a"):
    return manager.table.records[name].state


def test_nothing_is_loaded_before_the_first_lease(make_manager):
    calls = []
    manager = make_manager(100)
    manager.register(ModelSpec("a", lambda: calls.append(1) or 60))
    assert (calls, state(manager)) == ([], Residence.UNLOADED)
    with manager.lease("a") as model:
        assert model == 60
    manager.lease("a").release()
    assert calls == [1]


def test_many_callers_share_one_load_and_its_failure(make_manager):
    manager = make_manager(100, retry_failed_s=0.05)
    gate, calls = threading.Event(), []

    def load():
        calls.append(1)
        gate.wait(5)
        raise OSError("the disk is gone")

    manager.register(ModelSpec("a", load))
    callers = [Caller(lambda: manager.lease("a")) for _ in range(5)]
    wait_until(lambda: manager.table.records["a"].waiting == 5)
    gate.set()
    for caller in callers:
        with pytest.raises(ModelLoadFailed, match="the disk is gone"):
            caller.finished()
    assert len(calls) == 1
    time.sleep(0.06)
    with pytest.raises(ModelLoadFailed):
        manager.lease("a")
    assert len(calls) == 2, "it is tried again after a while"


class _Sink(SilentSink):
    stopped = False

    def is_canceled(self):
        return self.stopped


def test_a_canceled_load_ends_and_whoever_else_waits_loads_the_model_itself(make_manager):
    manager = make_manager(100)
    begun, calls, sink = threading.Event(), [], _Sink()

    def load():
        calls.append(1)
        begun.set()
        while len(calls) == 1:
            stop_if_asked()
            time.sleep(0.002)
        return 60

    def canceled():
        with heeding(StageProgress(sink, "shape_generation")):
            return manager.lease("a")

    manager.register(ModelSpec("a", load))
    first = Caller(canceled)
    assert begun.wait(5)
    second = Caller(lambda: manager.lease("a"))
    wait_until(lambda: manager.table.records["a"].waiting == 2)
    sink.stopped = True
    with pytest.raises(JobCanceled):
        first.finished()
    assert second.finished().model == 60
    assert len(calls) == 2
    assert state(manager) is Residence.RESIDENT


def test_a_canceled_load_is_no_failure_and_holds_no_memory(make_manager):
    device = LedgerDevice(10 * MB)
    manager = make_manager(device=device)
    sink = _Sink()
    sink.stopped = True
    load, make_input = next(iter(TINY_MODELS.values()))
    manager.register(ModelSpec("a", load, size_hint_bytes=MB))
    with heeding(StageProgress(sink, "shape_generation")), pytest.raises(JobCanceled):
        manager.lease("a")
    record = manager.table.records["a"]
    assert (record.state, record.failure, record.copy) == (Residence.UNLOADED, None, None)
    assert (record.host_promised, record.pin_promised) == (0, 0)
    with manager.lease("a") as model:
        model(make_input())


def test_a_model_that_has_to_leave_does_so_for_a_canceled_job_too(make_manager):
    """Its weights were replaced, so that they are laid out anew: half of that would lose them."""
    manager = make_manager(device=LedgerDevice(10 * MB))
    manager.register(ModelSpec("a", lambda: torch.nn.Linear(8, 8)))
    with manager.lease("a") as model:
        model.weight = torch.nn.Parameter(torch.ones(8, 8))
    sink = _Sink()
    sink.stopped = True
    with heeding(StageProgress(sink, "shape_generation")):
        assert controls.offload(manager, "a") == {"a": Outcome.DONE}
    with manager.lease("a") as model:
        assert torch.equal(model.weight, torch.ones(8, 8))


def test_loads_from_disk_do_not_wait_for_each_other(make_manager):
    manager = make_manager(100)
    both = threading.Barrier(2, timeout=5)
    for name in ("a", "b"):
        manager.register(ModelSpec(name, lambda: both.wait() * 0 + 30))
    callers = [Caller(lambda name=name: manager.lease(name).release()) for name in ("a", "b")]
    for caller in callers:
        caller.finished()


def test_lease_with_promise_counts_until_it_ends(make_manager):
    manager = make_manager(100, models={"a": 40})
    lease = manager.lease("a", vram_extra_bytes=50)
    with pytest.raises(GpuBusy):
        manager.reserve(20, timeout_s=0, owner="another job")
    lease.release()
    lease.release()  # twice is harmless
    manager.reserve(60).release()


def test_memory_that_nobody_can_give_back_is_an_error_and_no_endless_wait(make_manager):
    manager = make_manager(100, models={"a": 40})
    manager.device.activation_bytes = 80  # leaked tensors of ours
    with pytest.raises(OutOfMemory, match="no other model"):
        manager.lease("a", timeout_s=5)


def test_oldest_idle_model_leaves_first_and_no_more_than_needed(make_manager, standing_clock):
    manager = make_manager(100, clock=standing_clock, models={"a": 20, "b": 60, "c": 15, "d": 20})
    for name in ("a", "b", "c"):
        standing_clock.forward(1)
        manager.lease(name).release()
    manager.lease("d").release()
    assert [state(manager, n).value for n in "abcd"] == ["host", "resident", "resident", "resident"]
    assert manager.table.records["a"].evictions == 1


def test_a_timeout_gives_the_drained_model_back(make_manager):
    manager = make_manager(100, models={"a": 60, "b": 60})
    held = manager.lease("a", owner="long job")
    with pytest.raises(GpuBusy, match="b did not get its turn"):
        manager.lease("b", timeout_s=0.05)
    assert state(manager) is Residence.RESIDENT
    manager.lease("a", owner="another", timeout_s=0).release()
    held.release()


def test_pin_budget_is_shared_in_order_of_arrival(make_manager):
    manager = make_manager(1000, models={"a": 60, "b": 60, "c": 60}, pin_budget_bytes=100)
    for name in "abc":
        manager.prepare(name)
    pins = [manager.table.records[name].pin_state for name in "abc"]
    assert pins == [PinState.FULL, PinState.PARTIAL, PinState.NONE]
    assert manager.device.pinned_bytes == 100


def test_host_pressure_releases_the_longest_unused_copy(make_manager, standing_clock):
    manager = make_manager(1000, clock=standing_clock, models={"a": 60, "b": 60})
    for name in "ab":
        standing_clock.forward(1)
        manager.prepare(name)
    free = {"bytes": 50}
    manager._loader._free_host = lambda: free["bytes"] + 60 * (state(manager) is Residence.UNLOADED)
    manager.register(spec("c", 60, size_hint_bytes=60))
    manager.prepare("c")
    assert state(manager) is Residence.UNLOADED
    assert state(manager, "b") is Residence.HOST


@pytest.mark.parametrize("policy", [Policy.OFFLOAD_AFTER_USE, Policy.ONE_AT_A_TIME])
def test_real_models_give_bit_equal_results_however_often_they_move(make_manager, policy):
    device = LedgerDevice(1 * MB)
    manager = make_manager(device=device, policy=policy)
    register(manager)
    with torch.inference_mode():
        expected = {name: load()(make()) for name, (load, make) in TINY_MODELS.items()}
    for _ in range(4):
        for name, (_, make) in TINY_MODELS.items():
            with torch.inference_mode(), manager.lease(name) as model:
                assert torch.equal(model(make()), expected[name])
    moves = manager.table.switches
    assert moves == 8, "each lease brought its model back to the device"


def test_threads_hammering_two_models_share_the_device(make_manager):
    quantum_s, seconds = 0.25, 3.0
    manager = make_manager(
        100, models={"a": 60, "b": 60}, min_residency_s=quantum_s, idle_grace_s=0.01
    )
    stop = threading.Event()
    served = {name: [0, 0.0] for name in "ab"}
    count = threading.Lock()

    def hammer(name):
        while not stop.is_set():
            asked = time.monotonic()
            with manager.lease(name, timeout_s=10):
                waited = time.monotonic() - asked
                assert state(manager, name) in (Residence.RESIDENT, Residence.DRAINING)
                time.sleep(0.0005)
            with count:
                served[name][0] += 1
                served[name][1] = max(served[name][1], waited)

    callers = [Caller(lambda name=name: hammer(name)) for name in "abab"]
    time.sleep(seconds)
    stop.set()
    for caller in callers:
        caller.finished(within_s=15)
    assert min(n for n, _ in served.values()) > 60, "starved"
    assert max(wait for _, wait in served.values()) < 4 * quantum_s
    assert manager.table.switches <= 2 * seconds / quantum_s + 4, (
        "the models changed places too often"
    )
    assert manager.table.promised_bytes == 0


def test_a_stored_failure_does_not_keep_the_model_or_the_callers_data_alive(make_manager):
    class Weights:
        def __int__(self):
            return 10**9

    alive = []

    def load():
        weights = Weights()
        alive.append(weakref.ref(weights))
        return weights

    manager = make_manager(100)
    manager.register(ModelSpec("huge", load))
    with contextlib.suppress(ModelTooLarge):
        manager.lease("huge")
    gc.collect()
    assert alive[0]() is None
    assert manager.table.records["huge"].failure.__traceback__ is None


def test_a_released_lease_that_is_kept_does_not_keep_the_weights(make_manager):
    lease = make_manager(100, models={"a": 60}).lease("a")
    lease.release()
    assert lease.model is None


def test_a_fault_at_the_end_of_a_use_still_ends_the_lease(make_manager):
    manager = make_manager(100, models={"a": 60})
    lease = manager.lease("a", vram_extra_bytes=10)
    manager.device.use_failures = [RuntimeError("CUDA error")]
    with pytest.raises(RuntimeError, match="CUDA error"):
        lease.release()
    assert manager.table.records["a"].leases == {}
    assert manager.table.promised_bytes == 0


def test_promises_and_models_held_crosswise_do_not_wait_for_ever(make_manager):
    manager = make_manager(100, models={"a": 50, "b": 30})
    promise = manager.reserve(60, owner="first job")
    wants_a = Caller(lambda: manager.lease("a", owner="second job", timeout_s=5))
    wait_until(lambda: manager.table._waits_for_promises is not None)
    with pytest.raises(GpuBusy, match="memory promised here"):
        manager.lease("b", owner="first job", timeout_s=5)
    promise.release()
    wants_a.finished().release()


def test_two_loads_do_not_share_the_same_free_host_memory(make_manager, standing_clock):
    manager = make_manager(1000, clock=standing_clock)
    gate = threading.Event()
    free = {"bytes": 100}
    manager._loader._free_host = lambda: free["bytes"]
    manager.register(ModelSpec("old", lambda: 10))
    manager.prepare("old")
    manager.register(ModelSpec("first", lambda: gate.wait(5) * 0 + 80, size_hint_bytes=80))
    manager.register(spec("second", 80, size_hint_bytes=80))
    loading = Caller(lambda: manager.prepare("first"))
    wait_until(lambda: manager.table.records["first"].host_promised > 0)
    assert state(manager, "old") is Residence.HOST
    manager.prepare("second")
    assert state(manager, "old") is Residence.UNLOADED, "the free memory was promised already"
    gate.set()
    loading.finished()
    assert manager.table.records["first"].host_promised == 0


def test_a_neighbours_memory_does_not_spoil_a_finished_load(make_manager):
    device = SimulatedDevice(100, frees_late=True)
    manager = make_manager(device=device, models={"a": 60, "b": 60})
    manager.lease("a").release()
    controls.offload(manager, "a")
    wants_b = Caller(lambda: manager.lease("b", timeout_s=5))
    wait_until(lambda: state(manager, "b") is Residence.HOST)
    device.settle()
    wants_b.finished().release()
    assert manager.table.records["b"].loads == 1


def test_a_model_that_cannot_leave_does_not_keep_the_others_there(make_manager, standing_clock):
    manager = make_manager(
        100, clock=standing_clock, models={"a": 20, "b": 20}, policy=Policy.ONE_AT_A_TIME,
        idle_offload_s=10,
    )  # fmt: skip
    manager.change_rules(policy=Policy.RESIDENT)
    for name in "ab":
        manager.lease(name).release()
    manager.change_rules(policy=Policy.ONE_AT_A_TIME)
    standing_clock.forward(11)
    manager.device.remove_failures = [RuntimeError("stuck")]
    Housekeeper(manager).run_due()
    assert [state(manager, name).value for name in "ab"] == ["resident", "host"]


def test_a_failing_hook_does_not_keep_its_model_on_the_device(make_manager):
    manager = make_manager(100, models={"b": 60})
    manager.register(ModelSpec("a", lambda: 60, before_offload=lambda: 1 / 0))
    manager.lease("a").release()
    manager.lease("b").release()
    assert state(manager, "a") is Residence.HOST


def test_a_lease_dropped_by_the_collector_inside_the_table_does_not_deadlock(make_manager):
    manager = make_manager(100, models={"a": 60, "b": 20})

    def work():
        with manager.lease("a"):
            yield

    running = work()
    next(running)
    with manager.table:
        running.close()
    assert manager.table.records["a"].leases == {}


def test_a_thread_that_died_is_not_taken_for_a_later_one(make_manager):
    manager = make_manager(100, models={"a": 60})
    Caller(lambda: manager.lease("a")).finished()  # never released
    controls.offload(manager, "a")
    for _ in range(5):
        with pytest.raises(GpuBusy):
            Caller(lambda: manager.lease("a", timeout_s=0.02)).finished()


def test_more_memory_for_a_model_one_has_is_made_by_evicting_others(make_manager):
    manager = make_manager(100, models={"a": 40, "b": 40})
    manager.lease("b").release()
    outer = manager.lease("a", owner="job")
    controls.offload(manager, "a")
    manager.lease("a", owner="job", vram_extra_bytes=40, timeout_s=1).release()
    assert state(manager, "b") is Residence.HOST
    outer.release()


def test_nonsense_is_refused(make_manager):
    manager = make_manager(100, models={"a": 40})
    with pytest.raises(InvalidParameter):
        manager.reserve(-1)
    with pytest.raises(InvalidParameter):
        manager.lease("a", vram_extra_bytes=-5)
    with pytest.raises(InvalidParameter, match="memory"):
        manager.register(spec("memory", 5))
