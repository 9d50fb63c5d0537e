"""The manager under arbitrary sequences of calls, on the simulated device.

The invariants are numbered as in the decision record on residency
(``docs/decisions/0004-residency.md``).
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from backend.errors import (
    GpuBusy,
    ModelLeased,
    ModelLoadFailed,
    ModelTooLarge,
    OutOfMemory,
)
from backend.residency.controls import offload, release
from backend.residency.housekeeper import Housekeeper
from backend.residency.manager import ResidencyManager
from backend.residency.policies import Policy, ResidencyRules
from backend.residency.records import ModelSpec
from backend.residency.simulated_device import SimulatedDevice
from backend.residency.snapshot import residency_status
from backend.residency.states import ON_DEVICE, ON_DISK, Residence
from backend.units import MB

from .conftest import StandingClock

TOTAL, MARGIN, PINNABLE = 100, 5, 90
SIZES = {"small": 20, "middle": 35, "large": 60, "huge": 140}
REFUSALS = (GpuBusy, ModelTooLarge, OutOfMemory, ModelLoadFailed)
names = st.sampled_from([*SIZES])
owners = st.sampled_from(["first job", "second job", "third job"])


class ResidencyMachine(RuleBasedStateMachine):
    """Leases, controls, faults and time in any order."""

    manager_class = ResidencyManager
    device_class = SimulatedDevice

    @initialize(policy=st.sampled_from([*Policy, Policy.RESIDENT]))
    def start(self, policy):
        self.clock = StandingClock()
        self.device = self.device_class(TOTAL)
        rules = ResidencyRules(
            policy=policy, fraction=1.0, margin_bytes=MARGIN, pin_budget_bytes=PINNABLE,
            min_residency_s=0.0, idle_grace_s=0.0, idle_offload_s=60.0, idle_release_s=600.0,
        )  # fmt: skip
        self.manager = self.manager_class(self.device, rules, self.clock, lambda: 10**12)
        self.loader_calls = dict.fromkeys(SIZES, 0)
        self.broken: set[str] = set()
        for name in SIZES:
            self.manager.register(ModelSpec(name, lambda name=name: self._load(name)))
        self.keeper = Housekeeper(self.manager)
        self.leases = []
        self.drained_with_leases: dict[str, int] = {}

    def _load(self, name):
        self.loader_calls[name] += 1
        if name in self.broken:
            raise RuntimeError("the file is damaged")
        return SIZES[name]

    def _states(self):
        return {r.name: r.state for r in self.manager.table.records.values()}

    def _on_device(self):
        return {r.name for r in self.manager.table.records.values() if r.state in ON_DEVICE}

    # Rules

    @rule(name=names, extra=st.sampled_from([0, 0, 10, 30, 90]), owner=owners)
    def lease(self, name, extra, owner):
        record = self.manager.table.records[name]
        draining = record.state is Residence.DRAINING
        holds = owner in record.leases.values()
        uploads = self.device.copied_bytes
        before = self._on_device()
        try:
            lease = self.manager.lease(name, vram_extra_bytes=extra, timeout_s=0, owner=owner)
        except ModelTooLarge:
            assert self._on_device() == before, "I11: a request that never fits moved something"
            return
        except REFUSALS:
            return
        self.leases.append(lease)
        if draining and not holds:
            assert self.device.copied_bytes > uploads, "I7: a draining model was leased"
        if extra or self.device.copied_bytes > uploads:
            self._check_grant()

    @rule(name=names)
    def use_once(self, name):
        known = len(self.leases)
        self.lease(name, 0, "passer-by")
        if len(self.leases) > known:
            self.leases.pop().release()

    @rule(size=st.integers(1, 120), owner=owners)
    def reserve(self, size, owner):
        before = self._on_device()
        try:
            lease = self.manager.reserve(size, timeout_s=0, owner=owner)
        except ModelTooLarge:
            assert self._on_device() == before, "I11: a request that never fits moved something"
        except REFUSALS:
            return
        else:
            self.leases.append(lease)
            self._check_grant()

    def _check_grant(self):
        held = self.device.block_bytes + self.manager.table.promised_bytes
        assert held + self.device.foreign_bytes + MARGIN <= TOTAL, (
            "I10: more promised than there is"
        )
        if self.manager.rules.policy is Policy.ONE_AT_A_TIME:
            there = [r for r in self.manager.table.records.values() if r.state in ON_DEVICE]
            assert len(there) <= 1, "I12: two models at a time"

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def end_lease(self, data):
        self.leases.pop(data.draw(st.integers(0, len(self.leases) - 1))).release()

    @rule(name=st.one_of(st.none(), names), drain=st.booleans())
    def offload(self, name, drain):
        self._control(offload, name, drain)

    @rule(name=st.one_of(st.none(), names), drain=st.booleans())
    def release(self, name, drain):
        self._control(release, name, drain)

    def _control(self, act, name, drain):
        before = self._states()
        try:
            act(self.manager, name, drain=drain)
        except ModelLeased:
            assert self._states() == before, "a refused control call changed something"

    @rule(name=names)
    def prepare(self, name):
        try:
            self.manager.prepare(name, timeout_s=0)
        except REFUSALS:
            return

    @rule(size=st.sampled_from([0, 0, 20, 60]))
    def neighbour_takes(self, size):
        free = TOTAL - self.device.block_bytes
        self.device.foreign_bytes = min(size, free)

    @rule(times=st.sampled_from([1, 1, 2]))
    def next_upload_fails(self, times):
        self.device.failures = [OutOfMemory("injected")] * times

    @rule(name=names, broken=st.booleans())
    def break_file(self, name, broken):
        self.broken = self.broken | {name} if broken else self.broken - {name}

    @rule(seconds=st.sampled_from([1, 61, 601]))
    def time_passes(self, seconds):
        self.clock.forward(seconds)
        self.keeper.run_due()

    # Invariants

    @invariant()
    def leases_and_blocks(self):
        if not hasattr(self, "manager"):
            return
        for record in self.manager.table.records.values():
            if record.leases:
                assert record.state in (Residence.RESIDENT, Residence.DRAINING), "I1"
                assert record.copy is not None, "I1"
                assert record.copy.block_bytes == record.size_bytes, "I1"
            block = record.copy.block_bytes if record.copy else 0
            assert bool(block) == (record.state in ON_DEVICE), "I3"
        mine = [lease for lease in self.leases if lease.name != "memory"]
        counted = sum(len(r.leases) for r in self.manager.table.records.values())
        assert counted == len(mine), "I2"
        assert self.manager.table.model_bytes == self.device.block_bytes, "I4"

    @invariant()
    def memory_is_given_back(self):
        if not hasattr(self, "manager"):
            return
        table = self.manager.table
        assert set(table.promises) == set(self.leases), "I5"
        assert self.device.pinned_bytes <= PINNABLE, "I6"
        assert table.pinned_bytes == self.device.pinned_bytes, "I6"
        for record in table.records.values():
            if record.state in ON_DISK:
                assert record.copy is None, "I6"
                assert record.loaded is None, "I6"
            assert not record.waiting, "I9"
            assert not record.awaited, "I9"
            settled = {*ON_DISK, Residence.HOST, Residence.RESIDENT, Residence.DRAINING}
            assert record.state in settled, "I9: a call left a model half way"
        assert len(self.device.copies) == sum(bool(r.copy) for r in table.records.values()), "I6"

    @invariant()
    def one_loader_per_load(self):
        if not hasattr(self, "manager"):
            return
        for record in self.manager.table.records.values():
            assert record.loads <= self.loader_calls[record.name], "I8"

    @invariant()
    def nothing_idle_is_left_draining(self):
        if not hasattr(self, "manager"):
            return
        for record in self.manager.table.records.values():
            if record.state is Residence.DRAINING:
                assert record.leases, "a drained model was forgotten on the device"

    @invariant()
    def status_adds_up(self):
        if not hasattr(self, "manager"):
            return
        status = residency_status(self.manager)
        shown = sum(round(model["vram_mb"] * MB) for model in status["models"])
        budget = status["residency"]["budget"]
        assert shown == round(budget["models_mb"] * MB), "I14"
