"""A thread that reads the device, so that nobody else has to."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backend.units import Clock, SystemClock

FINE_READINGS, COARSE_READINGS, COARSE_S = 3600, 8640, 10.0
SLOW_EVERY_S = 5.0
KEPT = (
    "vram_used_mb", "gpu_util_pct", "mem_util_pct", "power_w", "temp_c", "sm_clock_mhz",
)  # fmt: skip

log = logging.getLogger(__name__)
Read = Callable[[bool], dict[str, Any]]


@dataclass(frozen=True)
class Reading:
    """One moment of one device; unknown values are None."""

    at_s: float
    values: dict[str, float | None]
    throttle: tuple[str, ...] | None


class Sampler:
    """Keeps the latest status and a bounded history.

    Parameters
    ----------
    read : callable
        Reads the status; its argument asks for the slow figures too.
    is_active : callable
        Whether a job runs: then readings are dense.
    active_s, idle_s : float
        Time between two readings.
    on_reading : callable
        Given each status that was read, by the reading thread; it must not wait.
    """

    def __init__(
        self,
        read: Read,
        clock: Clock | None = None,
        is_active: Callable[[], bool] = lambda: True,
        *,
        active_s: float = 1.0,
        idle_s: float = 5.0,
        on_reading: Callable[[dict[str, Any]], None] = lambda status: None,
    ) -> None:
        self._read = read
        self._clock = clock or SystemClock()
        self._is_active = is_active
        self._active_s, self._idle_s = active_s, idle_s
        self._on_reading = on_reading
        self._fine: deque[Reading] = deque(maxlen=FINE_READINGS)
        self._coarse: deque[Reading] = deque(maxlen=COARSE_READINGS)
        self._latest: dict[str, Any] | None = None
        self._latest_at_s: float | None = None
        self._slow_at_s: float | None = None
        self._pcie: list[dict[str, Any]] = []
        self._failing = False
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    def wake(self) -> None:
        """Read now, and go on at the dense rate: a job has begun."""
        self._wake.set()

    def latest(self) -> dict[str, Any] | None:
        """Return the last status; None before the first and after a failed reading."""
        return self._latest

    def age_s(self) -> float | None:
        """Seconds since the latest status was read; None when there is none."""
        at_s = self._latest_at_s if self._latest is not None else None
        return None if at_s is None else self._clock.monotonic_s() - at_s

    def history(self, window_s: float) -> list[Reading]:
        """Return the readings of the last ``window_s`` seconds, oldest first."""
        since_s = self._clock.monotonic_s() - window_s
        with self._lock:
            dense = bool(self._fine) and self._fine[0].at_s <= since_s
            readings = [*self._fine] if dense else [*self._older(), *self._fine]
        return [reading for reading in readings if reading.at_s >= since_s]

    def throttle_pct(self, window_s: float = 60.0) -> float | None:
        """Share of the readings in which something slowed the device down."""
        known = [r.throttle for r in self.history(window_s) if r.throttle is not None]
        return round(100 * sum(map(bool, known)) / len(known), 1) if known else None

    def sample_once(self) -> dict[str, Any] | None:
        """Read the device and file the reading; a failure is logged once and reads None."""
        now_s = self._clock.monotonic_s()
        slow = self._slow_at_s is None or now_s - self._slow_at_s >= SLOW_EVERY_S
        if slow:
            self._slow_at_s = now_s
        try:
            status = self._read(slow)
        except Exception:  # a driver may fail in any way, the thread must live
            if not self._failing:
                log.exception("the device cannot be read")
            self._failing, self._latest = True, None
            return None
        self._failing = False
        self._keep_traffic(status, slow=slow)
        self._file(status, now_s)
        for device in (status.get("devices") or [])[:1]:
            device["throttle"] = (device.get("throttle") or {}) | {
                "pct_last_60s": self.throttle_pct()
            }
        self._latest, self._latest_at_s = status, now_s
        self._tell(status)
        return status

    def _tell(self, status: dict[str, Any]) -> None:
        try:
            self._on_reading(status)
        except Exception:  # whoever listens may fail in any way, the thread must live
            log.exception("a reading could not be handed on")

    def _keep_traffic(self, status: dict[str, Any], *, slow: bool) -> None:
        """Carry the slow figures over to the readings between two slow ones."""
        devices = status.get("devices") or []
        if slow:
            self._pcie = [dict(device.get("pcie") or {}) for device in devices]
            return
        for device, seen in zip(devices, self._pcie, strict=False):
            if device.get("pcie"):
                traffic = {key: seen.get(key) for key in ("rx_mb_s", "tx_mb_s")}
                device["pcie"] = device["pcie"] | traffic

    def _file(self, status: dict[str, Any], now_s: float) -> None:
        devices = status.get("devices") or []
        if not devices:
            return
        active = (devices[0].get("throttle") or {}).get("active")
        reading = Reading(
            now_s,
            {key: devices[0].get(key) for key in KEPT},
            None if active is None else tuple(active),
        )
        with self._lock:
            self._fine.append(reading)
            if not self._coarse or now_s - self._coarse[-1].at_s >= COARSE_S:
                self._coarse.append(_mean([r for r in self._fine if r.at_s > now_s - COARSE_S]))

    def _older(self) -> list[Reading]:
        first_s = self._fine[0].at_s if self._fine else float("inf")
        return [reading for reading in self._coarse if reading.at_s < first_s]

    def _run(self) -> None:
        while not self._stopped:
            self.sample_once()
            self._wake.wait(self._pause_s())
            self._wake.clear()

    def _pause_s(self) -> float:
        try:
            return self._active_s if self._is_active() else self._idle_s
        except Exception:  # whoever is asked may fail in any way, the thread must live
            log.exception("it is not known whether a job runs")
            return self._active_s


def _mean(readings: list[Reading]) -> Reading:
    values: dict[str, float | None] = {}
    for key in KEPT:
        known = [r.values[key] for r in readings]
        numbers = [value for value in known if value is not None]
        values[key] = sum(numbers) / len(numbers) if numbers else None
    causes = {cause for r in readings for cause in r.throttle or ()}
    known_throttle = any(r.throttle is not None for r in readings)
    return Reading(readings[-1].at_s, values, tuple(sorted(causes)) if known_throttle else None)
