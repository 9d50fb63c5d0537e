from __future__ import annotations

import pytest
import torch

from backend.errors import GpuBusy, ModelTooLarge, OutOfMemory
from backend.residency.controls import offload
from backend.residency.device_with_guests import DeviceWithGuests
from backend.residency.ledger_device import LedgerDevice
from backend.residency.records import ModelSpec
from backend.residency.simulated_device import SimulatedDevice
from backend.residency.snapshot import residency_status
from backend.residency.states import Residence
from backend.units import MB

from .conftest import spec


class Guest:
    """A self-moving model that is only numbers; on the device it takes more than its weights."""

    lives_elsewhere = True
    pid = 4711

    def __init__(self, size_bytes: int, beside_bytes: int = 0, device=None) -> None:
        self.size_bytes = self.host_bytes = size_bytes
        self.device_bytes = 0
        self.beside_bytes = beside_bytes
        self.fault: Exception | None = None
        self.freed = False
        self._device = device

    def _hold(self, size_bytes: int) -> None:
        self.device_bytes = size_bytes
        if self._device is not None:  # a driver sees it as another process's
            self._device.foreign_bytes = size_bytes

    def to_device(self) -> None:
        if self.fault:
            raise self.fault
        self._hold(self.size_bytes + self.beside_bytes)

    def to_host(self) -> None:
        self._hold(self.beside_bytes)

    def free(self) -> None:
        self._hold(0)
        self.freed = True


def test_on_a_ledger_guests_and_arenas_share_its_size():
    device = DeviceWithGuests(LedgerDevice(2 * MB))
    arena = device.host_copy(torch.nn.Linear(400, 400, bias=False), 0)
    guest = device.host_copy(Guest(MB), 0)
    device.upload(guest)
    device.upload(arena)
    assert device.memory().allocated_bytes == MB + arena.size_bytes
    second = device.host_copy(Guest(MB), 0)
    with pytest.raises(OutOfMemory, match="ledger of 2 MB"):
        device.upload(second)
    assert not second.is_on_device
    device.remove(guest)
    device.remove(guest)
    device.upload(second)
    device.remove(arena)
    assert device.memory().allocated_bytes == MB


def test_a_guest_that_cannot_come_leaves_the_ledger_as_it_was():
    device = DeviceWithGuests(LedgerDevice(2 * MB))
    guest = Guest(MB)
    guest.fault = OutOfMemory("the program says so")
    copy = device.host_copy(guest, 0)
    with pytest.raises(OutOfMemory, match="the program says so"):
        device.upload(copy)
    assert device.memory().allocated_bytes == 0
    assert not copy.is_on_device
    device.discard(copy)
    assert guest.freed


def test_the_size_counted_stays_the_same_while_it_is_there():
    device = DeviceWithGuests(LedgerDevice(4 * MB))
    guest = Guest(MB)
    copy = device.host_copy(guest, 0)
    device.upload(copy)
    guest.size_bytes = 3 * MB
    assert copy.size_bytes == MB
    device.remove(copy)
    assert device.memory().allocated_bytes == 0
    assert copy.size_bytes == 3 * MB


def test_what_the_driver_calls_another_process_is_ours_and_counted_once(make_manager):
    inner = SimulatedDevice(100)
    manager = make_manager(device=DeviceWithGuests(inner), models={"mine": 40})
    manager.register(spec("guest", 0))
    manager.table.records["guest"].spec = spec("guest", 0).__class__(
        "guest", lambda: Guest(30, beside_bytes=10, device=inner)
    )
    with manager.lease("guest"), manager.lease("mine"):
        reading = manager.device.memory()
        budget = manager.table.budget(reading)
        assert inner.foreign_bytes == 40
        assert (budget.others, budget.models, budget.activations) == (0, 70, 10)
        assert budget.available == 20
    assert residency_status(manager)["models"][1]["pid"] == 4711


def test_what_a_guest_keeps_after_it_left_is_counted_and_shown(make_manager):
    inner = SimulatedDevice(100 * MB)
    manager = make_manager(device=DeviceWithGuests(inner), total=100 * MB)
    guest = Guest(30 * MB, beside_bytes=10 * MB, device=inner)
    manager.register(spec("guest", 0).__class__("guest", lambda: guest))
    lease = manager.lease("guest")
    lease.release()
    manager.register(spec("large", 80 * MB))
    with manager.lease("large"):
        row = residency_status(manager)["models"][0]
        assert (row["state"], row["vram_mb"], row["leftover_mb"]) == ("host", 0.0, 10.0)
        assert manager.table.budget(manager.device.memory()).available == 10 * MB


def test_page_locked_is_what_a_guest_took_of_its_grant():
    device = DeviceWithGuests(SimulatedDevice(100))
    guest = Guest(30)
    guest.pin = lambda pin_bytes: pin_bytes
    copy = device.host_copy(guest, 20)
    assert copy.pinned_bytes == 20, "nobody else is granted it meanwhile"
    guest.pinned_bytes = 10  # the driver gave no more
    device.upload(copy)
    assert copy.pinned_bytes == 10


def test_a_gpu_without_room_is_not_even_asked():
    inner = SimulatedDevice(100)
    device = DeviceWithGuests(inner)
    inner.foreign_bytes = 80
    guest = Guest(30)
    with pytest.raises(OutOfMemory, match="needed on the device"):
        device.upload(device.host_copy(guest, 0))
    assert guest.device_bytes == 0


def test_one_that_hides_in_this_process_is_not_added_to_what_our_allocator_says():
    inner = SimulatedDevice(100)
    device = DeviceWithGuests(inner)
    hidden = Guest(30)
    hidden.lives_elsewhere = False
    device.upload(device.host_copy(hidden, 0))
    inner.foreign_bytes = 30
    assert device.memory().reserved_bytes == 0


def _register_guest(manager, guest, name: str = "guest") -> None:
    manager.register(ModelSpec(name, lambda: guest))


def test_what_a_guest_keeps_does_not_hide_behind_the_promise_of_another(make_manager):
    inner = SimulatedDevice(100)
    manager = make_manager(device=DeviceWithGuests(inner), models={"mine": 30})
    _register_guest(manager, Guest(20, beside_bytes=10, device=inner))
    manager.lease("guest").release()
    offload(manager, "guest")
    with manager.lease("mine", vram_extra_bytes=40):  # which it has not taken yet
        budget = manager.table.budget(manager.device.memory())
        assert (budget.kept, budget.available) == (10, 20)
        assert manager.table.committed_bytes == 80, "what servers that share the device are told"


def test_a_promise_pays_for_what_its_own_guest_keeps(make_manager):
    inner = SimulatedDevice(100)
    manager = make_manager(device=DeviceWithGuests(inner))
    _register_guest(manager, Guest(60, beside_bytes=10, device=inner))
    manager.lease("guest", vram_extra_bytes=40).release()
    offload(manager, "guest")
    for _ in range(2):  # once from host memory, once where it is
        with manager.lease("guest", vram_extra_bytes=40):
            assert manager.table.budget(manager.device.memory()).available == 0
    with pytest.raises(ModelTooLarge):
        manager.lease("guest", vram_extra_bytes=41)


def test_an_idle_guest_ends_when_what_it_keeps_is_needed_and_enough(make_manager):
    inner = SimulatedDevice(100)
    manager = make_manager(device=DeviceWithGuests(inner), models={"large": 95, "other": 20})
    guest = Guest(30, beside_bytes=10, device=inner)
    _register_guest(manager, guest)
    manager.lease("guest").release()
    with (
        manager.lease("other", vram_extra_bytes=60, owner="another job"),
        pytest.raises(GpuBusy),
    ):
        manager.lease("large", timeout_s=0.05)
    assert not guest.freed, "it would not have helped"
    with manager.lease("large"):
        assert guest.freed
        assert manager.table.records["guest"].state is Residence.UNLOADED
