"""Engines that do what they are told, and note how they were called."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from backend.engines.engine import Needs
from backend.errors import NoSurfaceFound


class ScriptedEngine:
    """Returns each task in capitals.

    A task ``bad`` fails, ``defect`` breaks; more tasks than ``room`` run out of memory.
    """

    title = "Scripted"
    needs = Needs()

    def __init__(self, name: str = "scripted", *, batches: bool = True, room: int = 99) -> None:
        self.name = name
        self.batches = batches
        self.room = room
        self.calls: list[tuple[str, ...]] = []
        self.during: Callable[[Sequence[str], object], None] = lambda _tasks, _progress: None
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()

    def available(self) -> None:
        return None

    def batch_key(self, params) -> str:
        return ""

    def cost_key(self, params) -> str:
        return ""

    def run(self, batch, progress):
        with self._lock:
            self.calls.append(tuple(batch))
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            progress.step(0, 2)
            self.during(batch, progress)
            if len(batch) > self.room:
                raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")
            if "bad" in batch:
                raise NoSurfaceFound("Scripted.")
            if "defect" in batch:
                raise ZeroDivisionError("scripted defect")
            if "lost" in batch:
                raise RuntimeError("CUDA error: an illegal memory access was encountered")
            progress.step(2, 2)
            return [task.upper() for task in batch]
        finally:
            with self._lock:
                self.at_once -= 1
