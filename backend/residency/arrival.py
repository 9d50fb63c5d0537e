"""From host memory to the device: who has to leave, whose turn it is, and the transfer."""

from __future__ import annotations

from collections.abc import Callable

from backend.errors import GpuBusy, ModelTooLarge, OutOfMemory
from backend.residency.budget import budget_of
from backend.residency.departure import Departures
from backend.residency.device import DeviceBackend, MemoryReading
from backend.residency.eviction import Candidate, choose_victims
from backend.residency.lease import Lease
from backend.residency.policies import Conduct, Policy
from backend.residency.records import ModelRecord, Restore
from backend.residency.room_from_others import RoomFromOthers
from backend.residency.shared_device import GrantLost, SharedDevice
from backend.residency.states import ON_DEVICE, DrainIntent, Residence
from backend.residency.table import Call, ModelTable
from backend.units import MB

SWITCH_COST_FACTOR, LONGEST_QUANTUM_S = 5.0, 30.0
SETTLE_S, SETTLE_LOOK_S = 5.0, 0.05


class Arrivals:
    """Brings models and promises of memory onto the device.

    Parameters
    ----------
    end : callable
        Called with a lease when it ends.
    """

    def __init__(
        self,
        table: ModelTable,
        device: DeviceBackend,
        departures: Departures,
        end: Callable[[Lease], None],
    ) -> None:
        self._table = table
        self._device = device
        self._departures = departures
        self._end = end
        self._others = (
            RoomFromOthers(table, device, departures) if isinstance(device, SharedDevice) else None
        )

    def covers(self, promise: int) -> bool:
        """Whether a promise fits what this process may hold of a shared device; table locked."""
        return self._others is None or self._others.covers(promise)

    def bring(self, record: ModelRecord, call: Call) -> Lease:
        """Lease a model that has a host copy; raises ModelTooLarge, OutOfMemory, GpuBusy."""
        everyone = False
        with self._table.turn(call):
            while True:
                lease = self._claim(record, call, everyone=everyone)
                if record.state is not Residence.RESTORING:
                    return lease
                try:
                    self._upload(record, lease)
                except GrantLost:  # this process stood still meanwhile: it asks its neighbours anew
                    continue
                except OutOfMemory:  # the ledger said yes, the device says no: everybody out, once
                    if everyone:
                        raise
                    everyone = True
                else:
                    return lease

    def promise(self, call: Call) -> Lease:
        """Lease memory alone; raises ModelTooLarge, OutOfMemory, GpuBusy."""
        with self._table.turn(call):
            return self._claim(None, call)

    def _claim(self, record: ModelRecord | None, call: Call, *, everyone: bool = False) -> Lease:
        """Make room step by step, then write the promise down before anybody else can."""
        try:
            while True:
                reading, at_best = self._look()
                with self._table:
                    leaving = self._who_leaves(record, call, reading, at_best, everyone=everyone)
                    if leaving == [] and self.covers(self._need(record, call)):
                        return self._take_place(record, call)
                    for victim in leaving or ():
                        victim.awaited = True
                        if victim.state is Residence.RESIDENT:
                            self._departures.start_drain(
                                victim, DrainIntent.EVICT, f"room for {call.what}"
                            )
                if leaving:
                    self._wait_and_offload(leaving, call)
                    everyone = False
                elif self._others is not None:
                    self._others.ask(call, self._need(record, call), is_room=leaving == [])
        finally:
            if self._others is not None:
                self._others.settle()

    def _look(self) -> tuple[MemoryReading, MemoryReading]:
        """Read the device as it is, and as it would be if those who share it had left it."""
        if self._others is not None:
            return self._others.look()
        reading = self._device.memory()
        return reading, reading

    def _need(self, record: ModelRecord | None, call: Call) -> int:
        return self._table.to_promise(record, call.promise) + _arriving_bytes(record)

    def _take_place(self, record: ModelRecord | None, call: Call) -> Lease:
        lease = self._table.grant(record, call, self._end)
        if record is not None and record.state is Residence.HOST:
            self._table.move(record, Residence.RESTORING, f"wanted by {call.what}")
        return lease

    def _upload(self, record: ModelRecord, lease: Lease) -> None:
        copy = record.copy
        if copy is None:
            raise AssertionError("a waiting caller keeps the host copy alive")
        started_s = self._table.clock.monotonic_s()
        try:
            self._device.upload(copy)
        except BaseException as error:
            with self._table:
                record.leases.pop(lease, None)
                self._table.promises.pop(lease, None)
                self._table.move(record, Residence.HOST, f"not restored: {error}")
            raise
        with self._table:
            now_s = self._table.clock.monotonic_s()
            record.last_restore = Restore(now_s - started_s, copy.size_bytes)
            record.resident_since_s = record.last_used_s = now_s
            self._table.switches += 1
            record.restores += 1
            after = Residence.DRAINING if record.drain else Residence.RESIDENT
            self._table.move(record, after, "restored")

    # Who leaves; the table is locked

    def _who_leaves(
        self,
        record: ModelRecord | None,
        call: Call,
        reading: MemoryReading,
        at_best: MemoryReading,
        *,
        everyone: bool,
    ) -> list[ModelRecord] | None:
        """Return who leaves now, [] when there is room; waits a little and returns None else."""
        draining = record is not None and record.state is Residence.DRAINING
        if record is not None and draining and call.owner not in record.leases.values():
            return [record]
        arriving = record if record is not None and record.state not in ON_DEVICE else None
        need = self._need(record, call)
        try:
            whole = call.promise + _arriving_bytes(record)
            refuse_too_large(self._table, call.what, whole, at_best, self._held_fast(record, call))
            names = self._victims(arriving, record, call, need, reading, everyone=everyone)
        except (ModelTooLarge, OutOfMemory):
            if not self._free_memory_may_lag():
                raise
            self._table.pause(call, SETTLE_LOOK_S)
            return None
        if names is None:
            if self._others is None or not self._others.is_short:
                self._table.pause_for_promises(call)
            return None
        victims = [self._table.find(name) for name in names]
        turn_left_s = max((self._turn_left_s(v, record, call) for v in victims), default=0.0)
        if turn_left_s > 0:
            self._table.pause(call, turn_left_s)
            return None
        return victims

    def _victims(
        self,
        arriving: ModelRecord | None,
        record: ModelRecord | None,
        call: Call,
        need: int,
        reading: MemoryReading,
        *,
        everyone: bool,
    ) -> list[str] | None:
        exclusive = arriving is not None and self._table.conduct(arriving) is Conduct.ONE_AT_A_TIME
        if exclusive:
            self._refuse_second(call)
        shortfall = need - self._table.budget(reading).available
        if shortfall <= 0 and not exclusive and not everyone:
            return []
        candidates = self._candidates(record, call)
        names = choose_victims(candidates, max(0, shortfall), everyone=exclusive or everyone)
        if names or shortfall <= 0:
            return names
        keeping = self._who_keeps(record, shortfall - sum(c.size_bytes for c in candidates))
        if keeping or (self._others is not None and self._others.can_give(record, call)):
            return keeping or None
        if all(owner == call.owner for _, owner in self._table.promises.values()):
            raise OutOfMemory(
                f"{call.what} needs {shortfall / MB:.0f} MB more than is free, and no other model "
                "or job holds memory that could be given back."
            )
        return None

    def _who_keeps(self, record: ModelRecord | None, short_bytes: int) -> list[str]:
        """Name idle guests whose offloaded programs keep device memory, if it is enough."""
        kept = {
            other.name: self._table.kept_by(other)
            for other in self._table.records.values()
            if other is not record
            and other.state is Residence.HOST
            and not (other.waiting or other.spec.keep)
        }
        return [name for name, size in kept.items() if size and sum(kept.values()) >= short_bytes]

    def _candidates(self, record: ModelRecord | None, call: Call) -> list[Candidate]:
        return [
            Candidate(other.name, other.block_bytes, other.last_used_s, bool(other.leases))
            for other in self._table.records.values()
            if other is not record
            and other.state in (Residence.RESIDENT, Residence.DRAINING)
            and not other.spec.keep
            and call.owner not in other.leases.values()
        ]

    def _held_fast(self, record: ModelRecord | None, call: Call) -> int:
        """Bytes that no waiting will free: kept models, and what the caller itself holds."""
        models = sum(
            other.block_bytes
            for other in self._table.records.values()
            if other is record or other.spec.keep or call.owner in other.leases.values()
        )
        own = sum(size for size, owner in self._table.promises.values() if owner == call.owner)
        return models + own

    def _refuse_second(self, call: Call) -> None:
        if self._table.rules.policy is not Policy.ONE_AT_A_TIME:
            return
        for other in self._table.records.values():
            if not other.spec.keep and call.owner in other.leases.values():
                raise GpuBusy(
                    f"The policy lets one model on the GPU at a time, and {other.name} is in use "
                    f"by the one who asks for {call.what}.",
                    advice="End the lease on one model before asking for another.",
                )

    def _turn_left_s(self, victim: ModelRecord, wanted: ModelRecord | None, call: Call) -> float:
        now_s = self._table.clock.monotonic_s()
        rules = self._table.rules
        costs_s = [r.last_restore.elapsed_s for r in (victim, wanted) if r and r.last_restore]
        quantum_s = max(
            rules.min_residency_s, min(SWITCH_COST_FACTOR * sum(costs_s), LONGEST_QUANTUM_S)
        )
        return victim.turn_ends_s(now_s, call.owner, quantum_s, rules.idle_grace_s) - now_s

    def _free_memory_may_lag(self) -> bool:
        if self._others is not None and self._others.figures_may_lag():
            return True
        since_s = self._table.clock.monotonic_s() - self._departures.last_at_s
        return self._device.frees_late and since_s < SETTLE_S

    def _wait_and_offload(self, victims: list[ModelRecord], call: Call) -> None:
        try:
            for victim in victims:
                with self._table:
                    self._table.wait(lambda v=victim: not v.leases, call)  # type: ignore[misc]
                self._departures.make_way(victim)
        finally:
            with self._table:
                for victim in victims:
                    self._stop_waiting_for(victim)

    def _stop_waiting_for(self, victim: ModelRecord) -> None:
        victim.awaited = False
        if victim.state is Residence.DRAINING and victim.drain is DrainIntent.EVICT:
            victim.drain = None
            self._table.move(victim, Residence.RESIDENT, "nobody waits for its place any more")


def _arriving_bytes(record: ModelRecord | None) -> int:
    return 0 if record is None or record.state in ON_DEVICE else record.size_bytes


def refuse_larger_than_device(table: ModelTable, what: str, need_bytes: int) -> None:
    """Refuse what would not fit even on the empty device; raises ModelTooLarge."""
    total = table.total_bytes
    refuse_too_large(table, what, need_bytes, MemoryReading(total, total, 0, 0))


def refuse_too_large(
    table: ModelTable, what: str, need_bytes: int, reading: MemoryReading, held_bytes: int = 0
) -> None:
    """Refuse what can never fit before anybody is asked to leave; raises ModelTooLarge."""
    rules = table.rules
    limits = budget_of(reading, 0, 0, fraction=rules.fraction, margin=rules.margin_bytes)
    room_bytes = max(0, limits.ceiling - held_bytes)
    if need_bytes <= room_bytes:
        return
    others = f", {limits.others / MB:.0f} MB belong to other programs" if limits.others else ""
    raise ModelTooLarge(
        f"{what} needs {need_bytes / MB:.0f} MB on the device, at most {room_bytes / MB:.0f} MB "
        f"can become free (of {reading.total_bytes / MB:.0f} MB{others})."
    )
