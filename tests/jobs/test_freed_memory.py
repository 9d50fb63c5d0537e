"""What uploads have freed goes back to the system."""

from __future__ import annotations

import ctypes
import threading

import pytest

from backend.jobs.freed_memory import FreedMemory


@pytest.fixture
def calls(monkeypatch):
    made = []

    class Library:
        """Stands for the C library."""

        def malloc_trim(self, keep):
            made.append(keep)
            seen.set()

    seen = threading.Event()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: Library())
    return made, seen


def test_it_is_given_back_again_and_again_until_it_is_stopped(calls):
    made, seen = calls
    freed = FreedMemory(every_s=0.01)
    freed.start()
    assert seen.wait(5)
    seen.clear()
    assert seen.wait(5)
    freed.stop()
    assert not freed._thread.is_alive()
    assert set(made) == {0}


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    freed = FreedMemory(every_s=0.01)
    freed.start()
    assert not freed._thread.is_alive()
    freed.stop()
