"""The thread that lets idle models leave, and finishes drains that nobody waits for."""

from __future__ import annotations

import logging
import threading

from backend.errors import GpuBusy
from backend.residency.manager import ResidencyManager
from backend.residency.records import ModelRecord

LONGEST_SLEEP_S = 1.0
TURN_TIMEOUT_S = 0.5
RETRY_S = 0.2
LONG_TURN_S = 60.0

log = logging.getLogger(__name__)


class Housekeeper:
    """Runs what is due, and sleeps until something will be.

    Parameters
    ----------
    manager : ResidencyManager
        Whose models.
    """

    def __init__(self, manager: ResidencyManager) -> None:
        self._manager = manager
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeper", daemon=True)
        self._reported_turn_s: float | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; models stay where they are."""
        self._stop.set()
        with self._manager.table:
            self._manager.table.changed()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    def run_due(self) -> int:
        """Let every model leave whose time has come; returns how many left."""
        with self._manager.table:
            due = [
                record
                for record in self._manager.table.records.values()
                if self._manager.departures.due(record) is not None
            ]
        return sum(map(self._see_off, due))

    def next_due_s(self) -> float:
        """Seconds until a model's time comes, at most one; the table is locked."""
        left = [LONGEST_SLEEP_S]
        for record in self._manager.table.records.values():
            if self._manager.departures.due(record) is not None:
                return 0.0
            idle_left_s = self._manager.departures.idle_left_s(record)
            if idle_left_s is not None and not record.waiting:
                left.append(max(0.0, idle_left_s))
        return min(left)

    def _see_off(self, record: ModelRecord) -> bool:
        """Let one model leave; its trouble must not keep the others there."""
        try:
            return self._manager.departures.carry_out(record, timeout_s=TURN_TIMEOUT_S)
        except GpuBusy:
            log.debug("%s leaves after the transfer under way", record.name)
        except Exception:
            log.exception("%s could not leave", record.name)
            self._stop.wait(RETRY_S)
        return False

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.run_due()
                with self._manager.table:
                    self._report_long_turn()
                    self._manager.table.idle(max(0.001, self.next_due_s()))
            except Exception:  # the thread must live; the fault shows at the next lease
                log.exception("housekeeping failed")
                self._stop.wait(LONGEST_SLEEP_S)

    def _report_long_turn(self) -> None:
        table = self._manager.table
        since_s = table.turn_since_s
        if since_s is None or since_s == self._reported_turn_s:
            return
        if table.clock.monotonic_s() - since_s > LONG_TURN_S:
            self._reported_turn_s = since_s
            states = {record.name: record.state.value for record in table.records.values()}
            log.warning("one transfer has taken more than %.0f s: %s", LONG_TURN_S, states)
