"""Keeps the copies that this machine holds of a shared store small."""

from __future__ import annotations

import os
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

from backend.units import Clock, SystemClock

EVERY_S = 300.0
IN_USE_S = 120.0


@dataclass(frozen=True)
class _Cached:
    folder: Path
    used_at: float
    size_bytes: int


class CacheTrim:
    """Removes job folders that nobody used for long, and the oldest above a size.

    Parameters
    ----------
    root : Path
        Holds ``<end of id>/<id>/``.
    max_bytes : int
        More is removed, oldest first, but nothing that was used in the last two minutes.
    idle_s : float
        What was not used for so long is removed in any case, so that nothing outlives by more
        than this what was removed from the store. Longer than any job may run.
    clock : Clock, optional
        Source of time.
    """

    def __init__(
        self, root: Path, max_bytes: int, idle_s: float, clock: Clock | None = None
    ) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._idle_s = idle_s
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._next_s = self._clock.monotonic_s() + EVERY_S

    def note_use(self, folder: Path) -> None:
        """Remember that a job's folder is used now."""
        try:
            now = self._clock.now().timestamp()
            os.utime(folder, (now, now))
        except FileNotFoundError:
            return

    def trim_if_due(self) -> None:
        """Trim, at most every five minutes."""
        with self._lock:
            now_s = self._clock.monotonic_s()
            if now_s < self._next_s:
                return
            self._next_s = now_s + EVERY_S
        self.trim()

    def trim(self) -> None:
        """Remove what is idle, then the oldest until the rest fits."""
        now = self._clock.now().timestamp()
        held = sorted(self._held(), key=lambda cached: cached.used_at)
        total = sum(cached.size_bytes for cached in held)
        for cached in held:
            age_s = now - cached.used_at
            if age_s > self._idle_s or (total > self._max_bytes and age_s > IN_USE_S):
                shutil.rmtree(cached.folder, ignore_errors=True)
                total -= cached.size_bytes

    def _held(self) -> list[_Cached]:
        found = []
        for folder in self._root.glob("??/*"):
            try:
                used_at = folder.stat().st_mtime
                is_running = any(folder.glob("attempt-*"))
                sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
            except FileNotFoundError:  # removed meanwhile
                continue
            if is_running and self._clock.now().timestamp() - used_at <= self._idle_s:
                continue
            found.append(_Cached(folder, used_at, sum(sizes)))
        return found
