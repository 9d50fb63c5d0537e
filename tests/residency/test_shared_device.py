"""Servers that share one device: managers with real grants in a real Redis, on one counted card."""

from __future__ import annotations

import itertools
import logging
import random
import threading

import pytest
import redis

from backend.errors import GpuBusy, ModelTooLarge, OutOfMemory
from backend.jobs.gpu_share import GpuShare, HolderName
from backend.jobs.owners import Owner
from backend.residency import room_from_others, share_keeper
from backend.residency.device_with_guests import DeviceWithGuests
from backend.residency.housekeeper import Housekeeper
from backend.residency.manager import ResidencyManager
from backend.residency.records import ModelSpec
from backend.residency.share_keeper import ShareKeeper
from backend.residency.shared_device import SharedDevice
from backend.residency.simulated_device import SimulatedDevice
from backend.residency.states import Residence
from backend.units import SystemClock
from tests.jobs.scratch_redis import scratch_redis

from .conftest import PLAIN_RULES, Caller, spec, wait_until

TOTAL = 100
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with scratch_redis(tmp_path_factory.mktemp("share")) as made:
        yield made


class Card:
    """One physical card: what one device holds is foreign to the others, as a driver tells it."""

    def __init__(self) -> None:
        self.name = f"card-{next(numbers)}"
        self.devices: list[PartOfCard] = []
        self.most = 0
        self.lock = threading.Lock()

    @property
    def held(self) -> int:
        return sum(device.block_bytes for device in self.devices)


class PartOfCard(SimulatedDevice):
    """The card as one process sees it."""

    def __init__(self, card: Card) -> None:
        super().__init__(TOTAL)
        self.card = card
        self.strangers = 0
        card.devices.append(self)

    def memory(self):
        others = self.card.held - self.block_bytes
        self.foreign_bytes = others + self.strangers
        return super().memory()

    def upload(self, copy):
        with self.card.lock:
            super().upload(copy)
            self.card.most = max(self.card.most, self.card.held)


class Server:
    """A manager with a grant, a housekeeper and a keeper."""

    def __init__(self, client, card, name, models, lasts_s=5.0, **rules) -> None:
        from dataclasses import replace

        owner = Owner("elsewhere", next(numbers), 0)
        self.share = GpuShare(client, card.name, HolderName(owner, name), lasts_s=lasts_s)
        self.part = PartOfCard(card)
        self.clock = SystemClock()
        self.device = SharedDevice(DeviceWithGuests(self.part), self.share, self.clock)
        self.manager = ResidencyManager(
            self.device, replace(PLAIN_RULES, **rules), self.clock, lambda: 10**12
        )
        for model, size in models.items():
            self.manager.register(spec(model, size))
        self.housekeeper = Housekeeper(self.manager)
        self.keeper = ShareKeeper(self.manager, self.device)

    def start(self):
        self.housekeeper.start()
        self.keeper.start()
        return self

    def fall_silent(self):
        """Speak no more, as a process that was stopped."""
        self.keeper._stop.set()
        self.keeper._thread.join()

    def stop(self):
        self.keeper.stop()
        self.housekeeper.stop()

    def use(self, model, **more):
        self.manager.lease(model, **more).release()

    def state(self, model):
        return self.manager.table.records[model].state


@pytest.fixture
def make_servers(client, monkeypatch):
    monkeypatch.setattr(share_keeper, "BEAT_S", 0.02)
    monkeypatch.setattr(share_keeper, "WANTED_BEAT_S", 0.01)
    monkeypatch.setattr(room_from_others, "LOOK_S", 0.01)
    made = []

    def make(*models, **rules):
        card = Card()
        names = "abcdef"[: len(models)]
        made.extend(
            Server(client, card, name, has, **rules).start()
            for name, has in zip(names, models, strict=True)
        )
        return card, *made

    yield make
    for server in made:
        server.stop()


def test_an_idle_model_of_a_neighbour_makes_room(make_servers):
    card, first, second = make_servers({"x": 60}, {"y": 70})
    first.use("x")
    with second.manager.lease("y"):
        assert first.state("x") is Residence.HOST
        assert card.held == 70
    first.use("x")
    assert second.state("y") is Residence.HOST
    assert card.most == 70


def test_a_model_that_has_room_beside_the_neighbour_disturbs_nobody(make_servers):
    card, first, second = make_servers({"x": 60}, {"y": 40})
    first.use("x")
    second.use("y")
    assert (first.state("x"), second.state("y")) == (Residence.RESIDENT, Residence.RESIDENT)
    assert card.held == TOTAL


def test_a_model_in_use_stays_until_its_lease_ends(make_servers):
    _card, first, second = make_servers({"x": 60}, {"y": 70})
    lease = first.manager.lease("x")
    waiting = Caller(lambda: second.manager.lease("y"))
    wait_until(lambda: first.state("x") is Residence.DRAINING)
    assert first.part.block_bytes == 60, "taken from under a lease"
    assert not waiting.result
    lease.release()
    waiting.finished().release()
    assert first.part.block_bytes == 0


def test_the_wait_is_bounded_and_names_the_neighbour(make_servers):
    _card, first, second = make_servers({"x": 60}, {"y": 70})
    with first.manager.lease("x"):
        wait_until(lambda: second.device.neighbours_hold)
        with pytest.raises(GpuBusy, match=r"shared with a \(process \d+\)") as caught:
            second.use("y", timeout_s=0.2)
        assert "stop one of the servers" in caught.value.advice
        assert second.part.block_bytes == 0
        wait_until(lambda: first.state("x") is Residence.RESIDENT)  # nobody wants its place now
    second.use("y")


def test_what_is_too_large_for_the_empty_device_is_refused_at_once(make_servers):
    _card, first, second = make_servers({"x": 60}, {"huge": 101})
    first.use("x")
    with pytest.raises(ModelTooLarge):
        second.use("huge")
    assert first.state("x") is Residence.RESIDENT, "nobody leaves for what never fits"


def test_programs_without_grants_count_and_are_never_asked(make_servers, monkeypatch):
    monkeypatch.setattr(room_from_others, "DOUBT_S", 0.2)
    card, first, second = make_servers({"x": 30}, {"y": 70})
    for part in card.devices:
        part.strangers = 40
    first.use("x")
    with pytest.raises(ModelTooLarge, match="other programs"):
        second.use("y")
    assert first.state("x") is Residence.RESIDENT


def test_promises_of_memory_are_shared_too(make_servers):
    _card, first, second = make_servers({"x": 30}, {"y": 50})
    with first.manager.lease("x", vram_extra_bytes=40):
        wait_until(lambda: second.device.memory().free_bytes == 30)  # though 70 are free by bytes
        with pytest.raises(GpuBusy):
            second.use("y", timeout_s=0.2)
    second.use("y")


def test_first_come_first_served(make_servers):
    _card, first, second, third = make_servers({"x": 80}, {"y": 90}, {"z": 15})
    served = []
    lease = first.manager.lease("x")

    def want(server, model):
        with server.manager.lease(model):
            served.append(model)

    large = Caller(lambda: want(second, "y"))
    wait_until(lambda: first.device.others_wish())
    small = Caller(lambda: want(third, "z"))  # it would fit at once, and the large one never
    wait_until(lambda: len(first.device.status()["wishes"]) == 2)
    lease.release()
    large.finished()
    small.finished()
    assert served == ["y", "z"]


def test_who_waits_elsewhere_goes_before_the_next_call_here(make_servers):
    _card, first, second = make_servers({"x": 60}, {"y": 90})
    served = []

    def want(server, model):
        with server.manager.lease(model):
            served.append(model)

    lease = first.manager.lease("x")
    elsewhere = Caller(lambda: want(second, "y"))
    wait_until(lambda: first.state("x") is Residence.DRAINING)
    here = Caller(lambda: want(first, "x"))
    wait_until(lambda: first.manager.table.records["x"].waiting == 1)
    first.fall_silent()  # what leaves takes its part of the grant with it, also between two beats
    lease.release()
    elsewhere.finished()
    here.finished()
    assert served == ["y", "x"]


def test_what_is_idle_leaves_and_what_is_in_use_stays(make_servers):
    _card, first, second = make_servers({"used": 45, "idle": 45}, {"y": 50})
    with first.manager.lease("used"):
        first.use("idle")
        with second.manager.lease("y"):
            assert first.state("idle") is Residence.HOST
            assert first.state("used") is Residence.RESIDENT


def test_a_promise_is_granted_though_the_model_is_there_already(make_servers):
    _card, first, second = make_servers({"x": 30}, {"y": 20})
    first.use("x")
    first.fall_silent()  # it has not heard of what the other is promised
    with (
        second.manager.lease("y", vram_extra_bytes=40),
        pytest.raises(GpuBusy),
    ):
        first.use("x", vram_extra_bytes=40, timeout_s=0.2)


def test_the_longest_idle_model_leaves_whoever_has_it(make_servers):
    _card, first, second, third = make_servers({"x": 40}, {"y": 40}, {"z": 50})
    first.use("x")
    second.use("y")
    second.manager.table.records["y"].last_used_s -= 50

    def told():
        view = first.device._view
        return view and [one.holding.idle_s > 40 for one in view.neighbours if one.name == "b"]

    wait_until(lambda: told() == [True])
    third.use("z")
    assert (first.state("x"), second.state("y")) == (Residence.RESIDENT, Residence.HOST)


def test_two_streams_do_not_change_places_with_every_call(make_servers):
    turn_s = 0.2
    _card, first, second = make_servers({"x": 60}, {"y": 60}, min_residency_s=turn_s)
    stop = threading.Event()

    def stream(server, model):
        calls = 0
        while not stop.is_set():
            server.use(model)
            calls += 1
            stop.wait(0.005)
        return calls

    streams = [Caller(lambda: stream(first, "x")), Caller(lambda: stream(second, "y"))]
    tables = [first.manager.table, second.manager.table]
    wait_until(lambda: all(table.switches >= 2 for table in tables), 20.0)  # nobody starves
    stop.set()
    assert all(one.finished(20.0) for one in streams)
    turns_s = [
        move.elapsed_s
        for table in tables
        for move in table.transitions
        if move.before is Residence.RESIDENT and move.reason.startswith("room for")
    ]
    assert turns_s
    assert min(turns_s) > 0.9 * turn_s


def test_work_that_holds_a_model_goes_before_those_who_hold_none(make_servers):
    _card, first, second = make_servers({"x": 50, "more": 40}, {"y": 90})
    with first.manager.lease("x", owner="job"):
        waiting = Caller(lambda: second.manager.lease("y"))
        wait_until(lambda: first.device.others_wish())
        with first.manager.lease("more", owner="job", timeout_s=2.0):
            assert first.part.block_bytes == 90
        assert not waiting.result
    waiting.finished().release()


def test_two_servers_that_wait_for_each_other_do_not_wait_for_ever(make_servers, monkeypatch):
    monkeypatch.setattr(room_from_others, "DOUBT_S", 0.1)
    _card, first, second = make_servers({"x": 50, "x2": 30}, {"y": 50, "y2": 30})
    first.manager.lease("x", owner="one")
    held = second.manager.lease("y", owner="two")
    waiting = Caller(lambda: first.manager.lease("x2", owner="one"))
    wait_until(lambda: second.device.others_wish())
    with pytest.raises(GpuBusy, match="whose work waits for what is in use here"):
        second.manager.lease("y2", owner="two")
    held.release()
    waiting.finished().release()


def test_a_grant_that_ran_out_is_asked_for_anew_before_anything_moves(make_servers, client):
    card, first, second = make_servers({"x": 60}, {"y": 60}, lasts_s=0.2)
    first.fall_silent()
    taken = []
    upload = first.device.upload

    def late(copy):
        if not taken:
            pause = threading.Event()
            pause.wait(0.3)
            taken.append(second.manager.lease("y"))
        upload(copy)

    first.device.upload = late
    waiting = Caller(lambda: first.manager.lease("x"))
    wait_until(lambda: taken)
    wait_until(lambda: second.device.others_wish())
    assert first.part.block_bytes == 0, "an old grant was acted on"
    taken[0].release()
    waiting.finished().release()
    assert card.most == 60


def test_what_a_silent_neighbour_still_holds_counts_by_the_device(make_servers, monkeypatch):
    monkeypatch.setattr(room_from_others, "DOUBT_S", 0.1)
    _card, first, second = make_servers({"x": 60}, {"y": 60, "small": 40}, lasts_s=0.2)
    lease = first.manager.lease("x")
    first.fall_silent()
    wait_until(lambda: not second.device.status()["neighbours"])
    with pytest.raises(ModelTooLarge, match="belong to other programs"):
        second.use("y")
    second.use("small")
    assert first.part.block_bytes == 60
    lease.release()


def test_without_redis_the_device_itself_decides_and_it_is_said_once(
    make_servers, monkeypatch, caplog
):
    _card, first, second = make_servers({"x": 60, "w": 30}, {"y": 30})
    first.use("x")
    broken = threading.Event()
    broken.set()
    for server in (first, second):
        script = server.share._script

        def ask(*args, script=script):
            if broken.is_set():
                raise redis.ConnectionError("gone")
            return script(*args)

        server.share._script = ask
    with caplog.at_level(logging.WARNING):
        second.use("y")
        first.use("w", timeout_s=1.0)
        assert first.state("x") is Residence.HOST, "the driver's figure says that 70 are taken"
        wait_until(lambda: first.device.status()["state"] == "offline")
        second.use("y")
        said = [r for r in caplog.records if "cannot be heard" in r.message]
        assert len(said) == 2, "once for each server"
    broken.clear()
    wait_until(lambda: first.device.status()["state"] == "online")
    wait_until(lambda: first.device.status()["grant_mb"] is not None and first.device.covers(30))
    wait_until(lambda: [one["name"] for one in second.device.status()["neighbours"]] == ["a"])


def test_only_what_is_idle_elsewhere_counts_as_room_that_can_be_had(make_servers):
    _card, first, second = make_servers({"x": 30, "w": 20}, {})
    first.use("x")
    with first.manager.lease("w"):
        wait_until(lambda: second.manager.idle_elsewhere_bytes == 30)
    wait_until(lambda: second.manager.idle_elsewhere_bytes == 50)
    first.stop()
    wait_until(lambda: second.manager.idle_elsewhere_bytes == 0)


def test_management_switched_off_gives_nothing_away(make_servers):
    _card, first, second = make_servers({"x": 60}, {"y": 70})
    first.keeper._gives = False
    first.use("x")
    with pytest.raises(GpuBusy):
        second.use("y", timeout_s=0.2)
    assert first.state("x") is Residence.RESIDENT


class GuestOnCard:
    """A program in a process of its own, which every server sees on the card."""

    lives_elsewhere = True
    size_bytes = host_bytes = 20

    def __init__(self, card: Card) -> None:
        self._card = card
        self.device_bytes = 0

    def _hold(self, size_bytes: int) -> None:
        self.device_bytes = size_bytes
        for part in self._card.devices:
            part.strangers = size_bytes

    def to_device(self) -> None:
        self._hold(30)

    def to_host(self) -> None:
        self._hold(10)

    def free(self) -> None:
        self._hold(0)


def test_a_guest_that_keeps_what_a_neighbour_needs_ends(make_servers):
    card, first, second = make_servers({"x": 10}, {"y": 95})
    guest = GuestOnCard(card)
    first.manager.register(ModelSpec("guest", lambda: guest))
    first.use("guest")
    first.use("x")
    second.use("y")
    assert guest.device_bytes == 0
    assert (first.state("x"), first.state("guest")) == (Residence.HOST, Residence.UNLOADED)


def test_kept_models_never_leave_for_a_neighbour(make_servers):
    _card, first, second = make_servers({}, {"y": 70})
    first.manager.register(spec("x", 60, keep=True))
    first.use("x")
    with pytest.raises(GpuBusy):
        second.use("y", timeout_s=0.2)
    assert first.state("x") is Residence.RESIDENT


def test_any_order_of_calls_keeps_within_the_card_and_serves_everybody(make_servers):
    card, *servers = make_servers(
        {"a1": 30, "a2": 50}, {"b1": 60, "b2": 20}, {"c1": 90}, min_residency_s=0.01
    )
    refused = []

    def work(server, seed):
        order = random.Random(seed)
        pause = threading.Event()
        for _ in range(25):
            name = order.choice([*server.manager.table.records])
            extra = order.choice([0, 0, 10])
            try:
                with server.manager.lease(name, vram_extra_bytes=extra, timeout_s=20.0):
                    record = server.manager.table.records[name]
                    pause.wait(order.uniform(0, 0.004))
                    assert record.copy.block_bytes == record.size_bytes, "moved under a lease"
            except (GpuBusy, OutOfMemory) as error:
                refused.append((name, extra, error))

    callers = [
        Caller(lambda s=server, n=number: work(s, n)) for number in range(2) for server in servers
    ]
    for caller in callers:
        caller.finished(60.0)
    assert not refused
    assert card.most <= TOTAL
