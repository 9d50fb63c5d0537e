"""From the device to host memory, and from there to disk: drains, idleness, policies."""

from __future__ import annotations

import logging

from backend.errors import GpuBusy
from backend.residency.device import DeviceBackend
from backend.residency.policies import Conduct
from backend.residency.records import ModelRecord
from backend.residency.states import ON_DEVICE, ON_DISK, DrainIntent, Residence
from backend.residency.table import ModelTable

log = logging.getLogger(__name__)
NEVER_S = float("inf")


class Departures:
    """Lets models leave.

    Parameters
    ----------
    table : ModelTable
        Whose models.
    device : DeviceBackend
        Where they leave from.
    """

    def __init__(self, table: ModelTable, device: DeviceBackend) -> None:
        self._table = table
        self._device = device
        self.last_at_s = -NEVER_S

    def due(self, record: ModelRecord) -> DrainIntent | None:
        """What should happen to a model now by drain, policy or idleness; the table is locked."""
        if record.leases or record.waiting or record.awaited:
            return None
        if record.state is Residence.DRAINING:
            return record.drain
        if record.state is Residence.HOST and record.drain is DrainIntent.RELEASE:
            return DrainIntent.RELEASE
        left_s = self.idle_left_s(record)
        if left_s is None or left_s > 0:
            return None
        resident = record.state is Residence.RESIDENT
        to_disk = not resident or self._table.conduct(record) is Conduct.RELEASE_AFTER_USE
        return DrainIntent.RELEASE if to_disk else DrainIntent.OFFLOAD

    def idle_left_s(self, record: ModelRecord) -> float | None:
        """How long an idle model may still stay where it is; None for ever."""
        resident = record.state is Residence.RESIDENT
        if record.spec.keep or record.leases or not (resident or record.state is Residence.HOST):
            return None
        conduct = self._table.conduct(record)
        if conduct is Conduct.RELEASE_AFTER_USE:
            return 0.0
        if conduct is Conduct.OFFLOAD_AFTER_USE and resident:
            return 0.0
        rules = self._table.rules
        limit_s = rules.idle_offload_s if resident else rules.idle_release_s
        if not conduct.obeys_timers or limit_s < 0:
            return None
        return limit_s - (self._table.clock.monotonic_s() - record.last_used_s)

    def carry_out(self, record: ModelRecord, timeout_s: float | None = None) -> bool:
        """Do what is due with a model; returns whether something was.

        Raises
        ------
        GpuBusy
            No turn was to be had in time.
        """
        call = self._table.call(f"the housekeeping of {record.name}", timeout_s, object())
        with self._table.turn(call):
            with self._table:
                intent = self.due(record)
                if intent is None:
                    return False
                on_device = record.state is not Residence.HOST
                if on_device:
                    self.start_drain(record, intent, "idle")
                else:
                    self._table.move(record, Residence.RELEASING, "idle")
            if on_device:
                self.offload_now(record)
            else:
                self.drop_host_copy(record)
        return True

    def start_drain(self, record: ModelRecord, intent: DrainIntent, reason: str) -> None:
        """Give no more leases on a model; the table is locked."""
        self.note_intent(record, intent)
        if record.state is not Residence.DRAINING:
            self._table.move(record, Residence.DRAINING, reason)

    def note_intent(self, record: ModelRecord, intent: DrainIntent) -> None:
        """Remember what is to follow; a release outranks an offload, and that an eviction."""
        order = (None, DrainIntent.EVICT, DrainIntent.OFFLOAD, DrainIntent.RELEASE)
        record.drain = max(record.drain, intent, key=order.index)

    def make_way(self, record: ModelRecord) -> None:
        """Let one leave that holds device memory; the caller owns the transfer turn.

        A guest that is off the device and still holds some goes with its process.
        """
        with self._table:
            on_device = record.state in ON_DEVICE
            keeps = record.state is Residence.HOST and not record.waiting
            if keeps:
                self._table.move(record, Residence.RELEASING, "the device needs what it kept there")
        if on_device:
            self.offload_now(record)
        elif keeps:
            self.drop_host_copy(record)
            self.last_at_s = self._table.clock.monotonic_s()

    def offload_now(self, record: ModelRecord) -> None:
        """Move a drained model off the device; the caller owns the transfer turn."""
        with self._table:
            if record.leases or record.copy is None:
                raise GpuBusy(f"{record.name} is in use.")
            copy = record.copy
            self._table.move(record, Residence.OFFLOADING, f"to {record.drain}")
        _call_hook(record)
        try:
            self._device.remove(copy)
        except BaseException as error:
            with self._table:
                record.drain, record.awaited = None, False
                after = Residence.RESIDENT if copy.is_on_device else Residence.HOST
                self._table.move(record, after, f"not offloaded: {error}")
            raise
        if self._arrive_in_host_memory(record):
            self.drop_host_copy(record)

    def _arrive_in_host_memory(self, record: ModelRecord) -> bool:
        """Note that a model has left the device; returns whether it goes on to disk."""
        with self._table:
            intent = record.drain  # it may have been raised meanwhile
            releases = intent is DrainIntent.RELEASE and not record.waiting
            record.drain = intent if intent is DrainIntent.RELEASE else None
            record.awaited = False
            record.evictions += intent is DrainIntent.EVICT
            self.last_at_s = record.last_used_s = self._table.clock.monotonic_s()
            after = Residence.RELEASING if releases else Residence.HOST
            self._table.move(record, after, f"left the device ({intent})")
        return releases

    def drop_host_copy(self, record: ModelRecord) -> None:
        """Free the host copy of a model that is releasing."""
        copy, record.loaded = record.copy, None
        try:
            if copy is not None:
                self._device.discard(copy)
        finally:
            with self._table:
                record.copy, record.drain = None, None
                if record.state not in ON_DISK:
                    self._table.move(record, Residence.UNLOADED, "host copy freed")


def _call_hook(record: ModelRecord) -> None:
    """Let the model's owner drop what holds addresses; its fault must not keep the model there."""
    if record.spec.before_offload is None:
        return
    try:
        record.spec.before_offload()
    except Exception:
        log.exception("what %s wanted done before it leaves has failed", record.name)
