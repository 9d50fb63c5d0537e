"""Room that other servers give on a shared device: asked for, waited for, or refused."""

from __future__ import annotations

from backend.errors import GpuBusy
from backend.residency.departure import Departures
from backend.residency.device import MemoryReading
from backend.residency.records import ModelRecord
from backend.residency.shared_device import SharedDevice
from backend.residency.states import Residence
from backend.residency.table import Call, ModelTable
from backend.units import MB

LOOK_S = 0.1
DOUBT_S = 2.5
"""Figures of neighbours are a second old at most; what they seem to forbid is looked at again."""


class RoomFromOthers:
    """Asks for one arrival at a time; its caller owns the transfer turn.

    Parameters
    ----------
    table : ModelTable
        Whose models arrive.
    device : SharedDevice
        Where to.
    """

    def __init__(self, table: ModelTable, device: SharedDevice, departures: Departures) -> None:
        self._table = table
        self._device = device
        self._departures = departures
        self._doubt_since_s: float | None = None
        self._alone_since_s: float | None = None
        self._spare_bytes = 0
        self.is_short = False

    def look(self) -> tuple[MemoryReading, MemoryReading]:
        """Read the device as it is, and without the neighbours."""
        self.is_short, self._spare_bytes = False, 0
        return self._device.look()

    def covers(self, promise: int) -> bool:
        """Whether the grant has room for a promise; the table is locked."""
        return self._device.covers(self._table.committed_bytes + promise)

    def can_give(self, record: ModelRecord | None, call: Call) -> bool:
        """Note that our own models are not enough, if neighbours have any; table locked."""
        self.is_short = self._device.neighbours_hold
        self._spare_bytes = sum(
            other.block_bytes
            for other in self._table.records.values()
            if other is not record
            and other.state in (Residence.RESIDENT, Residence.DRAINING)
            and not other.spec.keep
            and call.owner not in other.leases.values()
        )
        return self.is_short

    def figures_may_lag(self) -> bool:
        """Whether a refusal may only be the neighbours' last words against the device's figure."""
        now_s = self._table.clock.monotonic_s()
        if not self._device.is_heard:
            return False
        if self._doubt_since_s is None:
            self._doubt_since_s = now_s
        return now_s - self._doubt_since_s < DOUBT_S

    def ask(self, call: Call, need_bytes: int, *, is_room: bool) -> None:
        """Ask for the grant, and wait a little unless it is there and there is room.

        Raises
        ------
        GpuBusy
            The neighbours did not give the room in time, or wait for this caller themselves.
        """
        if not (is_room or self.is_short):
            return  # it has waited for a lease or a promise of our own
        self._doubt_since_s = None
        with self._table:
            committed = self._table.committed_bytes
            self._device.lower(committed)
            target = max(committed, committed - self._spare_bytes + need_bytes)
            margin, holds = self._table.rules.margin_bytes, self._holds(call)
        granted = self._device.ask(target, margin_bytes=margin, holds=holds)
        if granted and is_room:
            return
        self._refuse_circle(call, granted=granted)
        self._see_off()
        with self._table:
            if self._table.clock.monotonic_s() >= call.deadline_s:
                raise self._busy(call, need_bytes)
            self._pause(call)

    def settle(self) -> None:
        """The arrival has its place, or gives up."""
        self._doubt_since_s = self._alone_since_s = None
        self._device.settle()

    def _holds(self, call: Call) -> bool:
        records = self._table.records.values()
        if any(call.owner in record.leases.values() for record in records):
            return True
        return any(size and owner == call.owner for size, owner in self._table.promises.values())

    def _refuse_circle(self, call: Call, *, granted: bool) -> None:
        """End a wait in which each server has work that waits for the other's."""
        now_s = self._table.clock.monotonic_s()
        if granted or not self._device.waits_in_a_circle():
            self._alone_since_s = None
            return
        if self._alone_since_s is None:
            self._alone_since_s = now_s
        if now_s - self._alone_since_s >= DOUBT_S:
            raise GpuBusy(
                f"{call.what} would wait for {self._device.neighbours_named()}, whose work waits "
                "for what is in use here.",
                advice="Try again: the work of the other server goes first now.",
            )

    def _see_off(self) -> None:
        """Let go what neighbours wait for: who owns the turn keeps the housekeeper from it."""
        with self._table:
            leaving = [
                record
                for record in self._table.records.values()
                if record.state is Residence.DRAINING and not (record.leases or record.awaited)
            ]
        for record in leaving:
            self._departures.offload_now(record)

    def _pause(self, call: Call) -> None:
        others = any(size and owner != call.owner for size, owner in self._table.promises.values())
        if self.is_short and others:
            self._table.pause_for_promises(call, LOOK_S)
        else:
            self._table.pause(call, LOOK_S)

    def _busy(self, call: Call, need_bytes: int) -> GpuBusy:
        return GpuBusy(
            f"{call.what} needs {need_bytes / MB:.0f} MB of a GPU that is shared with "
            f"{self._device.neighbours_named()}; it did not get them in time.",
            advice="Try again when the jobs there have ended, or stop one of the servers.",
        )
