"""A sink that counts steps, and cancels after some."""

from __future__ import annotations

from backend.progress import SilentSink


class CountingSink(SilentSink):
    """Keeps the steps it is told; asks to stop after ``stop_after`` of them."""

    def __init__(self, stop_after=99) -> None:
        self.seen: list[tuple[int, int]] = []
        self._stop_after = stop_after

    def stage_progress(self, stage, step, steps):
        self.seen.append((step, steps))

    def is_canceled(self):
        return len(self.seen) >= self._stop_after
