"""Grants on one device in a real Redis, with a clock that stands until it is moved."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from backend.errors import StartFailed
from backend.jobs import gpu_share
from backend.jobs.broker import redis_command, redis_url
from backend.jobs.gpu_share import GpuShare, HolderName, has_ended_here, open_share, share_address
from backend.jobs.owners import Owner, host_name
from backend.jobs.quick_redis import QuickRedis
from backend.jobs.redis_url import connect
from backend.residency.device import BackendName
from backend.residency.share_view import Holding, ShareOffline
from backend.settings import Settings

from .conftest import wait_until
from .scratch_redis import scratch_redis

LIMIT, LASTS_MS = 100, 5000
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with scratch_redis(tmp_path_factory.mktemp("share")) as made:
        yield made


class Time:
    """Milliseconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now_ms = 1_795_000_000_000

    def __call__(self) -> int:
        return self.now_ms


class Party:
    """Holders of one device, in a fresh corner of Redis."""

    def __init__(self, client, **more) -> None:
        self.client, self.more = client, more
        self.key = f"trial-{next(numbers)}"
        self.time = Time()

    def join(self, name, owner=None) -> GpuShare:
        owner = owner or Owner("elsewhere", next(numbers), 0)
        return GpuShare(
            self.client, self.key, HolderName(owner, name), now_ms=self.time, **self.more
        )


@pytest.fixture
def party(client):
    return Party(client)


def ask(share, target, grant=0, held=0, others=0, holds=False, wish=True):
    return share.ask(
        target, grant, Holding(held), others_bytes=others, limit_bytes=LIMIT, holds=holds, wish=wish
    )


class ShareMachine(RuleBasedStateMachine):
    """Holders who ask, speak, fall silent and leave in any order; each holds what it may."""

    client = None
    names = st.sampled_from("abc")

    @initialize(ledger=st.booleans())
    def start(self, ledger):
        self.ledger = ledger
        self.party = Party(self.client, keeps_silent=ledger)
        self.shares = {name: self.party.join(name) for name in "abc"}
        self.grants = dict.fromkeys("abc", 0)  # what each believes it may hold
        self.held = dict.fromkeys("abc", 0)  # what each has on the device
        self.heard_ms = dict.fromkeys("abc", 0)
        self.waits = {}  # name -> target, in order of arrival

    def _others(self, name):
        return 0 if self.ledger else sum(self.held.values()) - self.held[name]

    def _note(self, name, view):
        self.grants[name] = view.grant_bytes
        self.heard_ms[name] = self.party.time()

    def _is_waiting(self, name):
        until = self.heard_ms.get(("wish", name), 0) + LASTS_MS
        return name in self.waits and until > self.party.time()

    @rule(name=names, size=st.integers(1, LIMIT), holds=st.booleans())
    def ask(self, name, size, holds):
        target = self.held[name] + size
        free = LIMIT - sum(self.grants_in_force(but=name).values())
        ahead = [one for one in self.waits if self._is_waiting(one)]
        queue = ahead[: ahead.index(name)] if name in ahead else ahead
        owed = sum(max(0, self.waits[w] - self.claim(w)) for w in queue if w != name)
        view = ask(
            self.shares[name], target, self.grants[name], self.held[name],
            self._others(name), holds,
        )  # fmt: skip
        enlarged = target > self.grants_in_force().get(name, 0)
        self._note(name, view)
        if view.granted:
            self.waits.pop(name, None)
            assert target <= free, "more was granted than there is"
            if enlarged and not holds:
                assert target + owed <= free, "it was let past those who came first"
        else:
            self.waits[name] = target
            self.heard_ms["wish", name] = self.party.time()

    @rule(name=names)
    def bring(self, name):
        """Bring to the device what the grant allows, as an upload does: said first."""
        view = self.shares[name].tell(
            self.grants[name], Holding(self.grants[name]), confirm=True
        )  # fmt: skip
        in_force = self.heard_ms[name] + LASTS_MS > self.party.time()
        assert not view.granted or in_force, "a grant that ran out was acted on"
        if view.granted:
            self.held[name] = self.grants[name]
        self._note(name, view)

    @rule(name=names)
    def let_go(self, name):
        self.held[name] = 0
        self._note(name, self.shares[name].tell(0, Holding(0)))

    @rule(name=names)
    def speak(self, name):
        self._note(name, self.shares[name].tell(self.grants[name], Holding(self.held[name])))

    @rule(name=names)
    def withdraw(self, name):
        self.shares[name].withdraw()
        self.waits.pop(name, None)

    @rule(seconds=st.sampled_from([1, 1, 3, 6]))
    def time_passes(self, seconds):
        self.party.time.now_ms += 1000 * seconds
        for name in [one for one in self.waits if not self._is_waiting(one)]:
            self.waits.pop(name)

    def claim(self, name):
        return max(self.grants_in_force().get(name, 0), self.held[name])

    def grants_in_force(self, but=None):
        """What must not be given to anybody else: grants in force, and bytes that are there."""
        now_ms = self.party.time()
        return {
            name: max(
                self.grants[name] if self.heard_ms[name] + LASTS_MS > now_ms else 0, self.held[name]
            )
            for name in "abc"
            if name != but
        }

    @invariant()
    def nothing_is_given_twice(self):
        if hasattr(self, "shares"):
            assert sum(self.held.values()) <= LIMIT
            assert sum(self.grants_in_force().values()) <= LIMIT


def test_grants_never_exceed_the_device_whatever_happens(client):
    ShareMachine.client = client
    run_state_machine_as_test(
        ShareMachine,
        settings=settings(
            max_examples=40, stateful_step_count=25, deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )  # fmt: skip


def test_who_was_stopped_past_its_time_has_no_grant_any_more(party):
    first, second = party.join("first"), party.join("second")
    assert ask(first, 80).granted
    party.time.now_ms += LASTS_MS + 1
    assert ask(second, 60).granted
    late = first.tell(80, Holding(80), confirm=True)
    assert (late.granted, late.grant_bytes) == (False, 0)
    assert second.tell(60, Holding(60)).held_bytes == 0, "what was not confirmed is not there"
    assert not ask(first, 80).granted
    assert ask(first, 40).granted


def test_on_a_ledger_the_silent_still_hold_what_they_held(client):
    party = Party(client, keeps_silent=True)
    first, second = party.join("first"), party.join("second")
    ask(first, 70)
    first.tell(70, Holding(60), confirm=True)
    party.time.now_ms += LASTS_MS + 1
    assert not ask(second, 60).granted
    view = ask(second, 40)
    assert view.granted
    assert [(one.expired, one.claim_bytes) for one in view.neighbours] == [(True, 60)]


def test_the_queue_is_served_in_order(party):
    first, second, third = (party.join(name) for name in ("first", "second", "third"))
    assert ask(first, 80).granted
    assert not ask(second, 90).granted
    assert not ask(third, 30).granted
    first.tell(0, Holding())
    assert not ask(third, 30).granted, "it waited too, but not for as long"
    assert [wish.name for wish in ask(third, 30).wishes] == ["second", "third"]
    assert ask(second, 90).granted
    second.tell(0, Holding())
    assert ask(third, 30).granted


def test_memory_of_strangers_is_left_to_them(party):
    first, second = party.join("first"), party.join("second")
    assert ask(first, 40, held=40).granted
    first.tell(40, Holding(40))
    assert not ask(second, 40, others=65).granted, "25 of the 65 belong to nobody here"
    assert ask(second, 35, others=65).granted


@pytest.mark.parametrize("row", ["no JSON", "[]", "{}", '{"ends_ms": 9e15, "fence": 1}'])
def test_what_others_wrote_there_is_no_grant_and_harms_nobody(party, client, row):
    share = party.join("first")
    assert ask(share, 40).granted
    client.hset(share._key, "h:another", row)
    with pytest.raises(ShareOffline):
        share.tell(40, Holding(40))
    client.hdel(share._key, "h:another")
    assert share.tell(40, Holding(40)).in_force


def test_a_dead_process_of_this_machine_frees_its_grant_at_once(party):
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    born = round(gpu_share.psutil.Process(process.pid).create_time() * 1000)
    owner = Owner(host_name(), process.pid, born)
    mortal, other = party.join("mortal", owner), party.join("other")
    assert ask(mortal, 90).granted
    ask(mortal, 95)
    assert not ask(other, 50).granted
    process.send_signal(signal.SIGSTOP)
    assert not has_ended_here(owner), "one that stands still has not ended"
    process.kill()
    process.communicate()
    other.tell(0, Holding())  # whoever looks first buries it
    assert ask(other, 50).granted, "no second of the five had to pass"
    assert party.client.hlen(f"mk:share:{party.key}") <= 3


def test_a_process_that_hides_from_us_is_not_taken_for_dead(monkeypatch):
    me = Owner.this_process()
    assert not has_ended_here(me)
    assert has_ended_here(replace(me, born=me.born - 1000)), "the number was given to another"

    def hidden(*_):
        raise PermissionError

    monkeypatch.setattr(os, "kill", hidden)
    monkeypatch.setattr(gpu_share.psutil, "pid_exists", lambda _pid: False)
    assert not has_ended_here(me)


def test_nobody_can_be_heard_while_redis_is_away_and_all_ask_anew(tmp_path):
    def serve():
        return subprocess.Popen(redis_command(tmp_path), stdout=subprocess.DEVNULL)

    def answers():
        try:
            return connect(redis_url(tmp_path)).ping()
        except gpu_share.redis.RedisError:
            return False

    server = serve()
    wait_until(answers)
    share = Party(QuickRedis.to(redis_url(tmp_path), silence_s=0.0)).join("lonely")
    assert ask(share, 60).granted
    server.kill()
    server.wait()
    with pytest.raises(ShareOffline):
        share.tell(60, Holding(60))
    share.close()  # says nothing to nobody, and raises nothing
    for left in Path(tmp_path, "redis").rglob("*"):
        if left.is_file():
            left.unlink()
    server = serve()
    wait_until(answers)
    assert not share.tell(60, Holding(60)).in_force, "the new Redis knows of no grant"
    assert ask(share, 60, held=60).granted
    server.kill()
    server.wait()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ("", "")),
        ({"redis_url": "redis://common:6379/0"}, ("redis://common:6379/0", "")),
        ({"gpu_share_url": "unix:///run/share.sock#trial"}, ("unix:///run/share.sock", "trial")),
        (
            {"gpu_share_url": "redis://a:1/0", "redis_url": "redis://common:6379/0"},
            ("redis://a:1/0", ""),
        ),
    ],
)
def test_servers_meet_where_they_are_told_or_where_they_meet_anyway(given, expected):
    assert share_address(Settings.from_env({}, **given)) == expected


def test_the_private_redis_of_one_server_is_no_meeting_place(tmp_path):
    mine = Settings.from_env({}, data_dir=tmp_path, redis_url=redis_url(tmp_path))
    assert share_address(mine) == ("", "")


def test_an_address_that_is_none_is_refused_at_the_start():
    with pytest.raises(StartFailed, match="not the address") as caught:
        share_address(Settings.from_env({}, gpu_share_url="http://localhost"))
    assert "unix:///" in caught.value.advice


class Named:
    """A device of which only the kind is asked."""

    def __init__(self, name):
        self.name = name


def test_only_a_ledger_with_a_name_and_a_size_is_shared():
    plain = Settings.from_env({}, gpu_share_url="unix:///run/s.sock", ledger_vram_mb=10)
    named = replace(plain, gpu_share_url="unix:///run/s.sock#trial")
    ledger = Named(BackendName.CPU)
    assert open_share(plain, ledger) is None, "workers without a GPU have memory of their own"
    assert open_share(replace(named, ledger_vram_mb=0), ledger) is None
    assert open_share(named, ledger)._key == f"mk:share:ledger:{host_name()}:trial"


def test_the_key_is_the_physical_card_however_it_was_chosen(monkeypatch):
    common = Settings.from_env({}, gpu_share_url="unix:///run/s.sock")
    cards = [{"index": 0, "uuid": "GPU-aaa"}, {"index": 1, "uuid": "GPU-bbb"}]

    class Source:
        def sample(self):
            return cards

    monkeypatch.setattr(gpu_share, "telemetry_source", Source)
    keys = set()
    for visible in ("1", "GPU-bbb"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        keys.add(open_share(common, Named(BackendName.CUDA))._key)
    assert keys == {"mk:share:gpu:GPU-bbb"}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-1234")
    assert open_share(common, Named(BackendName.CUDA))._key == "mk:share:gpu:MIG-1234"
