"""A window of torch.profiler that ends by itself: after a time, or after so many events.

A job of small operations makes more than a million events a second, which would take gigabytes and
minutes to write. So the window is made of slices; after each its events are counted.
"""

from __future__ import annotations

import gzip
import json
import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType
from typing import Any

from backend.profiling.nvtx_ranges import CloseRange
from backend.profiling.recorder import mark_stages
from backend.units import Clock

WINDOW_S = 30.0
MAX_EVENTS = 200_000
TOP_KERNELS = 10
US = 1e6
_PASSED_THROUGH = (
    "/torch/nn/modules/module.py",
    "/torch/nn/modules/container.py",
    "/torch/utils/_contextlib.py",
    "/torch/amp/autocast_mode.py",
)
_ON_GPU = frozenset({"kernel", "gpu_memcpy", "gpu_memset"})


def may_cut(frame: FrameType | None) -> bool:
    """Tell whether no operation of torch, and no other profiler, is under way in a call stack.

    Operations may call Python back (custom ones, hooks, compiled code), always by way of torch's
    own files. Those of modules and context managers are only passed through.
    """
    while frame is not None:
        path = frame.f_code.co_filename.replace("\\", "/")
        if "/pyinstrument/" in path or path.endswith(__name__.replace(".", "/") + ".py"):
            return False
        if "/torch/" in path and not path.endswith(_PASSED_THROUGH):
            return False
        frame = frame.f_back
    return True


def torch_loaded() -> Any:
    """Return torch once this process has imported all of it, else None."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and hasattr(torch, "profiler") else None


class _Mark:
    """The range of a stage, opened anew in each slice."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._range: AbstractContextManager[Any] | None = None

    def open(self, record_function: Callable[[str], AbstractContextManager[Any]]) -> None:
        self._range = record_function(self._name)
        self._range.__enter__()

    def close(self) -> None:
        ended, self._range = self._range, None
        if ended is not None:
            ended.__exit__(None, None, None)


class TorchWindow:
    """Profiles torch's operations on the thread that starts it.

    Parameters
    ----------
    torch : module
        From ``torch_loaded``.
    clock : Clock
        Tells when the window has been open long enough.
    folder : Path
        Keeps the slices until they are joined.
    window_s : float
        How long it may stay open.
    max_events : int
        After a slice that reaches so many events in all, no other begins.
    """

    def __init__(
        self,
        torch: Any,
        clock: Clock,
        folder: Path,
        window_s: float = WINDOW_S,
        max_events: int = MAX_EVENTS,
    ) -> None:
        self._torch = torch
        self._clock = clock
        self._window_s = window_s
        self._max_events = max_events
        self._folder = folder
        self._slices: list[Path] = []
        self._open: Any = None
        self._marks: list[_Mark] = []
        self._thread = 0
        self._opened_s = 0.0
        self._unmark: Callable[[], object] = lambda: None
        self.events = 0
        self.elapsed_s = 0.0
        self.stopped_early = False

    def start(self) -> None:
        """Open the window; stages are marked in it by name."""
        self._opened_s = self._clock.monotonic_s()
        self._thread = threading.get_ident()
        self._begin_slice()
        before = mark_stages(self._mark)
        self._unmark = lambda: mark_stages(before)

    def tick(self) -> None:
        """End the slice that is open, and begin another if the window may stay open.

        Only where ``may_cut`` allows it: an operation that is under way when its slice ends goes
        on writing to what the slice has freed.
        """
        if self._open is None:
            return
        self._end_slice()
        if self.events >= self._max_events or self.elapsed_s >= self._window_s:
            self.stopped_early = True
            return
        self._begin_slice()

    def stop(self) -> None:
        """Close the window; does nothing when it is closed."""
        self._end_slice()
        self._unmark()
        self._unmark = lambda: None

    def write(self, path: Path) -> dict[str, Any]:
        """Write the trace in Chrome's format, packed with gzip; returns what it holds.

        Returns
        -------
        dict
            ``events``, ``elapsed_s``, ``stopped_early`` and ``kernels``: the ten that took most of
            the GPU's time, empty where none ran.
        """
        document = self._document()
        with gzip.open(path, "wt", encoding="utf-8", compresslevel=3) as file:
            json.dump(document, file, separators=(",", ":"))
        return {
            "events": self.events,
            "elapsed_s": round(self.elapsed_s, 3),
            "stopped_early": self.stopped_early,
            "kernels": _top_kernels(document["traceEvents"]),
        }

    def _begin_slice(self) -> None:
        profiler = self._torch.profiler
        activities = [profiler.ProfilerActivity.CPU]
        if self._torch.cuda.is_available():
            activities.append(profiler.ProfilerActivity.CUDA)
        begun = profiler.profile(activities=activities)
        begun.start()
        self._open = begun
        for mark in self._marks:
            mark.open(profiler.record_function)

    def _end_slice(self) -> None:
        ended, self._open = self._open, None
        if ended is None:
            return
        # A range that ends in another slice than it began in would end in freed memory.
        for mark in reversed(self._marks):
            mark.close()
        ended.stop()
        # At once: what it recorded lies in memory that the next slice uses again.
        path = self._folder / f"slice-{len(self._slices)}.json"
        ended.export_chrome_trace(str(path))
        self._slices.append(path)
        self.events += len(ended.profiler.kineto_results.events())
        self.elapsed_s = self._clock.monotonic_s() - self._opened_s

    def _mark(self, name: str) -> CloseRange | None:
        """Open a range in the trace; it costs 10 us, which only a window is worth."""
        if self._open is None or threading.get_ident() != self._thread:
            return None
        mark = _Mark(name)
        mark.open(self._torch.profiler.record_function)
        self._marks.append(mark)

        def close() -> None:
            if threading.get_ident() == self._thread and mark in self._marks:
                self._marks.remove(mark)
                mark.close()

        return close

    def _document(self) -> dict[str, Any]:
        """Join the slices, in the order of their time, and drop their files."""
        joined: dict[str, Any] = {"traceEvents": []}
        for path in self._slices:
            _join(joined, json.loads(path.read_text(encoding="utf-8", errors="replace")))
            path.unlink()
        return joined


def _join(joined: dict[str, Any], document: dict[str, Any]) -> None:
    """Add a slice; times count from a moment that each document names."""
    base_ns = document.get("baseTimeNanoseconds", 0)
    shift_us = (base_ns - joined.get("baseTimeNanoseconds", base_ns)) / 1000
    events = document.pop("traceEvents", [])
    if shift_us:
        for event in events:
            if "ts" in event:
                event["ts"] += shift_us
    joined["traceEvents"].extend(events)
    for name, value in document.items():
        joined.setdefault(name, value)


def _top_kernels(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    calls: dict[str, int] = defaultdict(int)
    total_s: dict[str, float] = defaultdict(float)
    for event in events:
        if event.get("cat") in _ON_GPU:
            calls[event["name"]] += 1
            total_s[event["name"]] += event.get("dur", 0) / US
    longest = sorted(total_s, key=lambda name: -total_s[name])[:TOP_KERNELS]
    return [
        {"name": name[:200], "calls": calls[name], "total_s": round(total_s[name], 6)}
        for name in longest
    ]
