from __future__ import annotations

import threading

import pytest

from backend.progress import SilentSink, StageProgress


def wait_for(is_so, timeout_s: float = 10) -> None:
    pause = threading.Event()
    for _ in range(int(timeout_s / 0.005)):
        if is_so():
            return
        pause.wait(0.005)
    raise AssertionError("it did not come about in time")


class NotedSink(SilentSink):
    """Keeps the steps, and says to stop when told so."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int]] = []
        self.warnings: list[str] = []
        self.stopped = False
        self.broken = False

    def stage_progress(self, stage, step, steps):
        if self.broken:
            raise OSError("the database is away")
        self.steps.append((step, steps))

    def warn(self, message):
        self.warnings.append(message)

    def is_canceled(self):
        return self.stopped


class Crew:
    """Threads that run jobs of a batch, and what came of each."""

    def __init__(self) -> None:
        self.results: dict[str, object] = {}
        self._threads: list[threading.Thread] = []

    def start(self, name, work) -> None:
        def run():
            try:
                self.results[name] = work()
            except Exception as error:  # noqa: BLE001  the test looks at it
                self.results[name] = error

        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()

    def join(self, timeout_s: float = 20) -> dict[str, object]:
        for thread in self._threads:
            thread.join(timeout_s)
            assert not thread.is_alive(), "a job waits for ever"
        return self.results


@pytest.fixture
def crew():
    return Crew()


@pytest.fixture
def progress():
    def make(sink=None, stage="shape_generation"):
        return StageProgress(sink or SilentSink(), stage)

    return make
