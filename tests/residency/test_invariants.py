"""The 14 invariants hold under any sequence, and each seeded bug breaks one of them."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, run_state_machine_as_test

from backend.residency.arrival import Arrivals
from backend.residency.departure import Departures
from backend.residency.loader import Loader
from backend.residency.manager import ResidencyManager
from backend.residency.policies import Policy
from backend.residency.records import ModelRecord
from backend.residency.simulated_device import SimulatedDevice
from backend.residency.states import Residence
from backend.residency.table import ModelTable

from .state_machine import ResidencyMachine

THOROUGH = settings(
    max_examples=80,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    suppress_health_check=[*HealthCheck],
    database=None,
)


def test_invariants_hold_under_any_sequence_of_calls():
    run_state_machine_as_test(ResidencyMachine, settings=THOROUGH)


class OneAtATimeMachine(ResidencyMachine):
    """The policy that some bugs need from the start, or they are searched for ten times as long."""

    @initialize(policy=st.just(Policy.ONE_AT_A_TIME))
    def start(self, policy):
        super().start(policy)


def evict_leased(patch):
    original = Arrivals._candidates

    def all_look_idle(self, record, call):
        from dataclasses import replace

        return [replace(c, leased=False) for c in original(self, record, call)]

    def offload_regardless(self, victims, call):
        for victim in victims:
            leases, victim.leases = victim.leases, {}
            self._departures.offload_now(victim)
            victim.leases = leases

    patch.setattr(Arrivals, "_candidates", all_look_idle)
    patch.setattr(Arrivals, "_wait_and_offload", offload_regardless)


def leak_on_offload(patch):
    patch.setattr(SimulatedDevice, "remove", lambda self, copy: None)


def leak_a_promise(patch):
    original = ModelTable.grant

    def twice(self, record, call, end):
        if record is None:
            original(self, record, call, end)
        return original(self, record, call, end)

    patch.setattr(ModelTable, "grant", twice)


def half_state_after_out_of_memory(patch):
    original = ModelTable.move

    def stuck(self, record, after, reason):
        if not reason.startswith("not restored"):
            original(self, record, after, reason)

    patch.setattr(ModelTable, "move", stuck)


def no_drain(patch):
    def usable(self, record, call, reading):
        there = record.state in (Residence.RESIDENT, Residence.DRAINING)
        return there and (reading is None or self.table.budget(reading).available >= call.promise)

    patch.setattr(ResidencyManager, "_is_usable", usable)


def unbounded_pinning(patch):
    original = SimulatedDevice.host_copy
    patch.setattr(
        SimulatedDevice, "host_copy", lambda self, loaded, _: original(self, loaded, int(loaded))
    )


def leak_pinned_memory(patch):
    patch.setattr(SimulatedDevice, "discard", lambda self, copy: None)


def ignore_the_neighbours(patch):
    original = SimulatedDevice.memory

    def blind(self):
        foreign, self.foreign_bytes = self.foreign_bytes, 0
        try:
            return original(self)
        finally:
            self.foreign_bytes = foreign

    patch.setattr(SimulatedDevice, "memory", blind)


def evict_for_what_never_fits(patch):
    patch.setattr("backend.residency.arrival.refuse_too_large", lambda *_, **__: None)
    patch.setattr("backend.residency.loader.refuse_larger_than_device", lambda *_, **__: None)

    original = Arrivals._victims

    def everybody_out(self, arriving, record, call, need, reading, *, everyone):
        if need > reading.total_bytes:
            names = [c.name for c in self._candidates(record, call)]
            if names:
                return names
            from backend.errors import ModelTooLarge

            raise ModelTooLarge(call.what)
        return original(self, arriving, record, call, need, reading, everyone=everyone)

    patch.setattr(Arrivals, "_victims", everybody_out)


def two_at_a_time(patch):
    original = Arrivals._victims

    def lenient(self, _arriving, record, call, need, reading, *, everyone):
        return original(self, None, record, call, need, reading, everyone=everyone)

    patch.setattr(Arrivals, "_victims", lenient)


def forget_the_drain(patch):
    patch.setattr(Departures, "due", lambda self, record: None)


def forget_a_waiting_caller(patch):
    patch.setattr(ResidencyManager, "_wait_no_more", lambda self, record: None)


def load_behind_the_records_back(patch):
    original = Loader._run

    def twice(self, record):
        original(self, record)
        record.loads += 1

    patch.setattr(Loader, "_run", twice)


def lose_a_lease(patch):
    original = ResidencyManager._end

    def forgetful(self, lease):
        original(self, lease)
        record = self.table.records.get(lease.name)
        if record is not None and record.leases:
            record.leases.popitem()

    patch.setattr(ResidencyManager, "_end", forgetful)


def blocks_miscounted_in_status(patch):
    original = ModelRecord.block_bytes.fget

    def only_resident(self):
        return original(self) if self.state is Residence.RESIDENT else 0

    patch.setattr(ModelRecord, "block_bytes", property(only_resident))


MUTANTS = [
    evict_leased,
    leak_on_offload,
    leak_a_promise,
    half_state_after_out_of_memory,
    no_drain,
    unbounded_pinning,
    leak_pinned_memory,
    ignore_the_neighbours,
    evict_for_what_never_fits,
    two_at_a_time,
    forget_the_drain,
    forget_a_waiting_caller,
    load_behind_the_records_back,
    lose_a_lease,
    blocks_miscounted_in_status,
]


@pytest.mark.parametrize("seed_bug", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_each_seeded_bug_is_caught(seed_bug, monkeypatch):
    seed_bug(monkeypatch)
    searching = settings(
        THOROUGH,
        max_examples=1500,  # it ends with the first failure
        print_blob=False,
        report_multiple_bugs=False,
        phases=[Phase.generate],
    )
    machine = OneAtATimeMachine if seed_bug is two_at_a_time else ResidencyMachine
    with pytest.raises(Exception) as caught:  # noqa: PT011  whatever shows the bug
        run_state_machine_as_test(machine, settings=searching)
    assert not isinstance(caught.value, TypeError | NameError), "the mutant itself is broken"
