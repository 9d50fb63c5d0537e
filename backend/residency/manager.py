"""The residency manager: leases on models, and one order in which models change places.

The state machine, the drain and the two timers answer failures that were reported for other
servers; each has a test by name in ``tests/residency/test_known_failures.py``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from backend.errors import GpuBusy, InvalidParameter
from backend.residency.arrival import Arrivals
from backend.residency.departure import Departures
from backend.residency.device import DeviceBackend, MemoryReading
from backend.residency.host_memory import free_host_bytes
from backend.residency.lease import Lease
from backend.residency.loader import Loader
from backend.residency.policies import ResidencyRules
from backend.residency.records import ModelRecord, ModelSpec
from backend.residency.shared_device import SharedDevice
from backend.residency.states import Residence
from backend.residency.table import MEMORY, Call, ModelTable
from backend.units import Clock, SystemClock

log = logging.getLogger(__name__)


class ResidencyManager:
    """Decides which models are on the device; hands them out as leases.

    Parameters
    ----------
    device : DeviceBackend
        Where models go.
    rules : ResidencyRules
        Policy, timers, limits; ``change_rules`` replaces them while it runs.
    free_host : callable
        Bytes of host memory that may still be taken.
    """

    def __init__(
        self,
        device: DeviceBackend,
        rules: ResidencyRules | None = None,
        clock: Clock | None = None,
        free_host: Callable[[], int] = free_host_bytes,
    ) -> None:
        self.device = device
        self.free_host = free_host
        self.table = ModelTable(
            clock or SystemClock(), rules or ResidencyRules(), device.memory().total_bytes
        )
        self.departures = Departures(self.table, device)
        self._arrivals = Arrivals(self.table, device, self.departures, self._end)
        self._loader = Loader(self.table, device, self.departures, free_host)

    @property
    def rules(self) -> ResidencyRules:
        """The rules in force."""
        return self.table.rules

    @property
    def idle_elsewhere_bytes(self) -> int:
        """Bytes of models that other servers on the same device would let go for ours."""
        return self.device.idle_elsewhere_bytes if isinstance(self.device, SharedDevice) else 0

    def change_rules(self, **changes: Any) -> None:
        """Replace some of the rules; the next decision follows them.

        Memory that is page-locked already stays so until its model is released.
        """
        with self.table:
            self.table.rules = replace(self.table.rules, **changes)
            self.table.changed()

    def register(self, spec: ModelSpec) -> None:
        """Make a model known; nothing is loaded. A known name keeps its state.

        Raises
        ------
        InvalidParameter
            The name is that of leases on memory alone.
        """
        if spec.name == MEMORY:
            raise InvalidParameter(f"No model can be called {MEMORY!r}.")
        with self.table:
            known = self.table.records.get(spec.name)
            if known is not None:
                known.spec = spec
                return
            since_s = self.table.clock.monotonic_s()
            self.table.records[spec.name] = ModelRecord(spec, since_s=since_s)

    def lease(
        self,
        name: str,
        *,
        vram_extra_bytes: int = 0,
        timeout_s: float | None = None,
        owner: object = None,
    ) -> Lease:
        """Bring a model to the device and hold it there.

        Parameters
        ----------
        vram_extra_bytes : int
            Memory the work needs beside the weights; promised until the lease ends.
        timeout_s : float, optional
            Longest wait.
        owner : object, optional
            Whose lease it is; the calling thread unless named.

        Raises
        ------
        UnknownModel, ModelTooLarge, ModelLoadFailed, OutOfMemory, GpuBusy
        """
        call = self.table.call(name, timeout_s, owner, vram_extra_bytes)
        reading = self.device.memory() if vram_extra_bytes else None
        with self.table:
            record = self.table.find(name)
            record.requests.append(self.table.clock.monotonic_s())
            if self._is_usable(record, call, reading):
                return self.table.grant(record, call, self._end)
            record.waiting += 1
        try:
            self._loader.load(record, call)
            return self._arrivals.bring(record, call)
        finally:
            self._wait_no_more(record)

    def reserve(
        self, size_bytes: int, *, timeout_s: float | None = None, owner: object = None
    ) -> Lease:
        """Promise device memory to work without a model; raises as ``lease``."""
        return self._arrivals.promise(self.table.call(MEMORY, timeout_s, owner, size_bytes))

    def prepare(self, name: str, *, timeout_s: float | None = None) -> None:
        """Load a model into host memory ahead of its use; raises ModelLoadFailed."""
        call = self.table.call(name, timeout_s, None)
        with self.table:
            record = self.table.find(name)
            record.waiting += 1
        try:
            self._loader.load(record, call)
        finally:
            self._wait_no_more(record)

    def _is_usable(self, record: ModelRecord, call: Call, reading: MemoryReading | None) -> bool:
        if record.state is Residence.DRAINING:  # its end waits for this very owner
            usable = call.owner in record.leases.values()
        else:
            usable = record.state is Residence.RESIDENT
        if reading is None or not usable:
            return usable
        promise = self.table.to_promise(record, call.promise)
        has_room = self.table.budget(reading).available >= promise
        return has_room and self._arrivals.covers(promise)

    def _wait_no_more(self, record: ModelRecord) -> None:
        with self.table:
            record.waiting -= 1
            record.last_used_s = self.table.clock.monotonic_s()
            self.table.changed()

    def _end(self, lease: Lease) -> None:
        record = self.table.records.get(lease.name)
        leaves = False
        try:
            if record is not None and record.copy is not None:
                self.device.used(record.copy)
        finally:
            with self.table:
                self.table.promises.pop(lease, None)
                if record is not None:
                    record.leases.pop(lease, None)
                    record.last_used_s = self.table.clock.monotonic_s()
                    leaves = self.departures.due(record) is not None
                self.table.changed()
        if leaves and record is not None:
            self._let_go(record)

    def _let_go(self, record: ModelRecord) -> None:
        """Follow up a use at once, unless a transfer is under way; then the housekeeper does."""
        try:
            self.departures.carry_out(record, timeout_s=0.0)
        except GpuBusy:
            log.debug("model %s leaves after the transfer under way", record.name)
        except Exception:  # the result of the work is good; the next lease will meet the fault
            log.exception("model %s could not leave the device", record.name)
