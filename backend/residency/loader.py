"""From disk to host memory: one loader at a time for a model, however many ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backend.errors import JobCanceled, MeshkilnError, ModelLoadFailed, OutOfMemory
from backend.residency.arrival import refuse_larger_than_device
from backend.residency.departure import Departures
from backend.residency.device import DeviceBackend
from backend.residency.records import ModelRecord
from backend.residency.self_moving import SelfMoving
from backend.residency.states import Residence
from backend.residency.table import Call, ModelTable

HOST_SPARE = 1.1


class Loader:
    """Makes host copies.

    Parameters
    ----------
    free_host : callable
        Bytes of host memory that may still be taken.
    """

    def __init__(
        self,
        table: ModelTable,
        device: DeviceBackend,
        departures: Departures,
        free_host: Callable[[], int],
    ) -> None:
        self._table = table
        self._device = device
        self._departures = departures
        self._free_host = free_host

    def load(self, record: ModelRecord, call: Call) -> None:
        """See to it that a host copy exists; all who ask meanwhile share the result.

        Raises
        ------
        ModelLoadFailed, ModelTooLarge, OutOfMemory, GpuBusy
        JobCanceled
            Whoever asked for it wants it no more; others who wait load it themselves.
        """
        with self._table:
            joined = record.state is Residence.LOADING
            self._table.wait(
                lambda: record.state not in (Residence.LOADING, Residence.RELEASING), call
            )
            if record.copy is not None:
                return
            if record.state is Residence.FAILED:
                self._refuse_failed(record, joined)
            refuse_larger_than_device(self._table, call.what, record.size_bytes + call.promise)
            self._table.move(record, Residence.LOADING, f"wanted by {call.what}")
        try:
            self._run(record)
        except JobCanceled:
            self._forget(record)
            raise
        except BaseException as error:
            failure = self._note_failure(record, error)
            if failure is error or not isinstance(error, Exception):
                raise
            raise failure from error

    def _refuse_failed(self, record: ModelRecord, joined: bool) -> None:
        wait_s = record.retry_at_s - self._table.clock.monotonic_s()
        if record.failure is not None and (joined or wait_s > 0):
            raise type(record.failure)(
                record.failure.detail,
                advice=record.failure.advice,
                retry_after_s=max(1, round(wait_s)),
            )

    def _run(self, record: ModelRecord) -> None:
        self._make_host_room(record)
        loaded = self._device.run_loader(record.spec.load)
        try:
            self._take_over(record, loaded)
        except BaseException:
            if isinstance(loaded, SelfMoving):
                loaded.free()  # it may be a process, which nobody else would end
            raise

    def _take_over(self, record: ModelRecord, loaded: Any) -> None:
        size_bytes = self._device.size_of(loaded)
        with self._table:
            refuse_larger_than_device(self._table, record.name, size_bytes)
            left = max(0, self._table.rules.pin_budget_bytes - self._table.pinned_bytes)
            record.pin_promised = min(left, size_bytes)
        copy = self._device.host_copy(loaded, record.pin_promised)
        with self._table:
            record.loaded, record.copy, record.failure = loaded, copy, None
            record.pin_promised = record.host_promised = 0
            record.loads += 1
            record.last_used_s = self._table.clock.monotonic_s()
            self._table.move(record, Residence.HOST, "loaded")

    def _forget(self, record: ModelRecord) -> None:
        with self._table:
            record.pin_promised = record.host_promised = 0
            self._table.move(record, Residence.UNLOADED, "nobody wants it any more")

    def _note_failure(self, record: ModelRecord, error: BaseException) -> MeshkilnError:
        failure = error if isinstance(error, MeshkilnError) else _explain(record.name, error)
        with self._table:
            record.pin_promised = record.host_promised = 0
            # a fresh one: the traceback would keep the model and the caller's tensors alive
            record.failure = type(failure)(failure.detail, advice=failure.advice)
            retry_s = self._table.rules.retry_failed_s
            record.retry_at_s = self._table.clock.monotonic_s() + retry_s
            self._table.move(record, Residence.FAILED, failure.detail)
        return failure

    def _make_host_room(self, record: ModelRecord) -> None:
        """Let idle host copies go, longest unused first, until the new one fits."""
        need = int(HOST_SPARE * (record.spec.size_hint_bytes or 0))
        while True:
            free = self._free_host()
            with self._table:
                promised = sum(r.host_promised for r in self._table.records.values())
                if free - promised >= need:
                    record.host_promised = need
                    return
                idle = [
                    other
                    for other in self._table.records.values()
                    if other.state is Residence.HOST and not other.waiting and not other.spec.keep
                ]
                if not idle:
                    return
                oldest = min(idle, key=lambda other: other.last_used_s)
                self._table.move(oldest, Residence.RELEASING, f"host memory for {record.name}")
            self._departures.drop_host_copy(oldest)


def _explain(name: str, error: BaseException) -> MeshkilnError:
    if isinstance(error, MemoryError):
        return OutOfMemory(f"There was not enough host memory to load {name}.")
    return ModelLoadFailed(f"{name} could not be loaded: {error}")
