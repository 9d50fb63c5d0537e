"""The thread that keeps this process's grant, and lets idle models go for a neighbour's sake."""

from __future__ import annotations

import logging
import threading

from backend.residency.arrival import LONGEST_QUANTUM_S, SWITCH_COST_FACTOR
from backend.residency.eviction import Candidate, choose_victims
from backend.residency.manager import ResidencyManager
from backend.residency.records import ModelRecord
from backend.residency.share_view import Holding
from backend.residency.shared_device import SharedDevice
from backend.residency.states import DrainIntent, Residence

BEAT_S = 1.0
WANTED_BEAT_S = 0.25  # while somebody waits

log = logging.getLogger(__name__)


class ShareKeeper:
    """Speaks to the neighbours every second.

    Parameters
    ----------
    manager : ResidencyManager
        Whose models; its device is ``device``.
    gives : bool
        Models may leave for a neighbour; False where models stay wherever they are.
    """

    def __init__(
        self, manager: ResidencyManager, device: SharedDevice, *, gives: bool = True
    ) -> None:
        self._manager = manager
        self._gives = gives
        self._device = device
        self._given_up: set[str] = set()
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="share keeper", daemon=True)
        device.on_change = self._soon

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and give the grant back."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)
        self._device.close()

    def look(self) -> None:
        """Renew the grant, and give what a neighbour waits for."""
        margin = self._manager.rules.margin_bytes
        self._device.renew(self._commit, margin)
        if not self._gives:
            return
        size_bytes, wish = self._device.part_to_give(margin)
        if wish is not None and size_bytes > 0:
            self._device.give_back_cache()
            self._let_go(size_bytes, f"room for {wish.name}")
        elif not self._device.others_wish():
            self._keep_again()

    def _commit(self) -> tuple[int, Holding]:
        table = self._manager.table
        with table:
            committed = table.committed_bytes
            self._device.lower(committed)
            now_s = table.clock.monotonic_s()
            there = [r for r in table.records.values() if self._gives and self._is_there(r)]
            idle = [r for r in there if not _in_use(r)]
            oldest_s = max((now_s - r.last_used_s for r in idle), default=0.0)
            return committed, Holding(0, sum(r.block_bytes for r in idle), max(0.0, oldest_s))

    def _let_go(self, size_bytes: int, reason: str) -> None:
        """Let models leave, the longest idle first; those in use leave when they are not."""
        table = self._manager.table
        with table:
            there = [r for r in table.records.values() if self._is_there(r)]
            size_bytes -= sum(r.block_bytes for r in there if r.state is Residence.DRAINING)
            may_leave = [
                Candidate(r.name, r.block_bytes, r.last_used_s, _in_use(r))
                for r in there
                if r.state is Residence.RESIDENT and self._has_had_its_turn(r)
            ]
            if size_bytes <= 0:
                return
            names = choose_victims(may_leave, size_bytes)
            if names is None:
                self._end_guests()
            for name in [c.name for c in may_leave] if names is None else names:
                record = table.find(name)
                self._manager.departures.start_drain(record, DrainIntent.EVICT, reason)
                self._given_up.add(name)

    def _end_guests(self) -> None:
        """End idle guests that keep device memory though they were offloaded; table locked."""
        table = self._manager.table
        for record in table.records.values():
            idle = record.state is Residence.HOST and not (record.waiting or record.spec.keep)
            if idle and table.kept_by(record):
                self._manager.departures.note_intent(record, DrainIntent.RELEASE)
                table.changed()

    def _keep_again(self) -> None:
        """Let models stay that were to leave for a neighbour who waits no more."""
        table = self._manager.table
        with table:
            for name in self._given_up:
                record = table.records.get(name)
                if record is None or record.awaited or record.drain is not DrainIntent.EVICT:
                    continue
                if record.state is Residence.DRAINING and record.leases:  # else it is leaving
                    record.drain = None
                    table.move(record, Residence.RESIDENT, "nobody waits for its place any more")
            self._given_up.clear()

    def _is_there(self, record: ModelRecord) -> bool:
        return record.state in (Residence.RESIDENT, Residence.DRAINING) and not record.spec.keep

    def _has_had_its_turn(self, record: ModelRecord) -> bool:
        """Whether a model was here long enough to be worth its way, or is not asked for now."""
        rules, now_s = self._manager.rules, self._manager.table.clock.monotonic_s()
        cost_s = record.last_restore.elapsed_s if record.last_restore else 0.0
        quantum_s = max(rules.min_residency_s, min(SWITCH_COST_FACTOR * cost_s, LONGEST_QUANTUM_S))
        calm = not _in_use(record) and now_s - record.last_used_s >= rules.min_residency_s
        return calm or now_s - record.resident_since_s >= quantum_s

    def _soon(self) -> None:
        if self._device.is_wanted():
            self._wake.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.look()
            except Exception:  # the thread must live; a grant that runs out is asked for anew
                log.exception("the grant on the shared GPU could not be kept")
            self._wake.wait(WANTED_BEAT_S if self._device.is_wanted() else BEAT_S)
            self._wake.clear()


def _in_use(record: ModelRecord) -> bool:
    return bool(record.leases or record.waiting)
