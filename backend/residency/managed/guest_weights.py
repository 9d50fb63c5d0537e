"""The weights of a hosted program, as the residency manager moves them: by asking its process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psutil

from backend.errors import (
    HostedEngineCrashed,
    HostedEngineFailed,
    HostedEngineSilent,
    MeshkilnError,
    ModelLoadFailed,
    OutOfMemory,
)
from backend.gpu.telemetry import telemetry_source
from backend.residency.managed.guest_connection import GuestConnection
from backend.units import MB, Clock, SystemClock

MOVE_TIMEOUT_S = 120.0
FRESH_S, ASK_TIMEOUT_S = 1.0, 0.25

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Started:
    """A process with the program loaded in it.

    Parameters
    ----------
    facts : mapping
        What the guest says of the program; see ``Program.facts``.
    """

    connection: GuestConnection
    facts: Mapping[str, Any]


class GuestWeights:
    """Implements ``SelfMoving`` for the program of another process.

    Parameters
    ----------
    start : callable
        Starts the process and loads the program; called anew when the process is gone.
    device : str
        ``cuda``, or ``cpu`` where nothing crosses a link and a ledger alone counts.
    """

    lives_elsewhere = True

    def __init__(
        self, start: Callable[[], Started], device: str, clock: Clock | None = None
    ) -> None:
        self._start = start
        self._clock = clock or SystemClock()
        self._moving = threading.RLock()
        self._device = device
        self._freed = self._is_there = False
        self._pin_bytes = 0
        self._beside_bytes: int | None = None
        self.started = start()

    @property
    def connection(self) -> GuestConnection:
        """The process that holds them now."""
        return self.started.connection

    @property
    def is_alive(self) -> bool:
        """Whether a call can reach the program."""
        return not self._freed and self.connection.is_alive

    @property
    def pid(self) -> int | None:
        """Number of the process; None once it has ended."""
        return self.connection.process.pid

    @property
    def can_move(self) -> bool:
        """Whether the weights go to host memory; else the process ends when they have to leave."""
        return bool(self.started.facts["movable"])

    @property
    def size_bytes(self) -> int:
        """Weights; of a program without torch modules, on a ledger, its whole process."""
        facts = self.started.facts
        beside = 0 if self._device == "cuda" else facts["resident_bytes"]
        return int(facts["weights_bytes"] or beside)

    @property
    def host_bytes(self) -> int:
        """Host memory of the process (RSS)."""
        pid = self.pid
        try:
            return 0 if pid is None else int(psutil.Process(pid).memory_info().rss)
        except psutil.Error:
            return 0

    @property
    def pinned_bytes(self) -> int:
        """Page-locked part of the host memory."""
        return int(self.connection.figures.get("pinned", 0)) if self.is_alive else 0

    @property
    def device_bytes(self) -> int:
        """Held on the device: torch's part by its own figure, and what its driver keeps beside."""
        if not self.is_alive:
            return 0
        if self._device != "cuda":
            return self.size_bytes if self._is_there else 0
        if self._clock.monotonic_s() - self.connection.figures_at_s > FRESH_S:
            self.connection.refresh(ASK_TIMEOUT_S)
        reserved = int(self.connection.figures.get("reserved", 0))
        return reserved + (self._beside_bytes or 0)

    def pin(self, pin_bytes: int) -> int:
        """Grant page-locked memory, taken when the weights first move; returns what was granted."""
        if self._device != "cuda" or not self.can_move:
            return 0
        self._pin_bytes = min(pin_bytes, self.size_bytes)
        self.connection.request("pin", self._pin_bytes, timeout_s=MOVE_TIMEOUT_S)
        return self._pin_bytes

    def to_device(self) -> None:
        """Bring the weights to the device; a process that is gone is started again.

        Raises
        ------
        OutOfMemory, ModelLoadFailed, EngineUnavailable
        """
        with self._moving:
            if self._freed:
                raise ModelLoadFailed("This program has been released.")
            if not self.connection.is_alive:
                self._start_again()
            self._ask_to_come()
            self._is_there = True

    def to_host(self) -> None:
        """Take the weights off the device; what does not answer, or cannot move, is ended."""
        with self._moving:
            self._is_there = False
            if not self.is_alive:
                return
            if not self.can_move:
                self.connection.end()
                return
            try:
                for fault in self.connection.request("to_host", timeout_s=MOVE_TIMEOUT_S) or ():
                    log.warning("%s, before it left the device: %s", self.connection.name, fault)
            except MeshkilnError as error:
                log.warning("%s leaves by its end: %s", self.connection.name, error)
                self.connection.end(0.0)

    def free(self) -> None:
        """End the process."""
        with self._moving:
            self._freed, self._is_there = True, False
            self.connection.end()

    def note_use(self, used_bytes: int) -> None:
        """Take the device's own word for what arrived with the weights the first time.

        Parameters
        ----------
        used_bytes : int
            By how much the device's free memory has shrunk.
        """
        if self._device != "cuda" or self._beside_bytes is not None:
            return
        self.connection.refresh(ASK_TIMEOUT_S)
        reserved = int(self.connection.figures.get("reserved", 0))
        held_bytes = _held_by(self.pid) or used_bytes
        self._beside_bytes = max(0, held_bytes - reserved)

    def _start_again(self) -> None:
        log.info("%s is started again", self.connection.name)
        self._beside_bytes = None
        self.started = self._start()
        if self._pin_bytes:
            self.pin(self._pin_bytes)

    def _ask_to_come(self) -> None:
        try:
            self.connection.request("to_device", timeout_s=MOVE_TIMEOUT_S)
        except OutOfMemory:
            raise
        except (HostedEngineCrashed, HostedEngineFailed, HostedEngineSilent) as error:
            raise ModelLoadFailed(error.detail, advice=error.advice) from error


def _held_by(pid: int | None) -> int | None:
    """Return what the driver says a process holds; None where it does not know its number."""
    for device in telemetry_source().sample():
        for process in device.get("processes") or ():
            if process["pid"] == pid and process["mb"] is not None:
                return int(process["mb"] * MB)
    return None
