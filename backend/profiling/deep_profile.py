"""One job under whole-program profilers: which functions, and which kernels, take its time.

They slow the job down, so this is done on request only. None of their failures reaches the job.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import re
import signal
import threading
from _thread import interrupt_main
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from backend.profiling.torch_window import TorchWindow, may_cut, torch_loaded
from backend.units import Clock, SystemClock

if TYPE_CHECKING:
    from pyinstrument import Profiler
    from pyinstrument.frame import Frame

CALL_TREE_S = 120.0
SAMPLE_S = 0.001
TICK_S = 0.25
TOP_FUNCTIONS = 8
# Not among the signals that billiard turns into the end of a worker's child.
TICK_SIGNAL = getattr(signal, "SIGURG", signal.SIGINT)
INSTALL_ADVICE = "pip install pyinstrument, then restart the server."
# The page remembers its view, which it may not where it is shown without an origin.
_NO_STORE = (
    "<script>try { localStorage; } catch { const none = { getItem: () => null, setItem() {} };"
    'Object.defineProperty(window, "localStorage", { value: none }); }</script>'
)
_OURS = frozenset({"deep_profile.py", "torch_window.py"})
_ELSEWHERE = re.compile(r"https://fonts\.googleapis\.com[^\"'`)\s]*")

log = logging.getLogger(__name__)


class DeepFile(StrEnum):
    """The files of a deep profile."""

    CALL_TREE = "pyinstrument.html"
    TORCH_TRACE = "torch_trace.json.gz"
    SUMMARY = "summary.json"


@dataclass(frozen=True)
class Problem:
    """A profiler that did not work, and what to do about it."""

    detail: str
    advice: str


@dataclass
class DeepProfile:
    """The profilers of one job.

    Parameters
    ----------
    folder : Path
        Where the files go; made if missing.
    clock : Clock
        Tells how long they have run.
    call_tree_s : float
        How long the functions of Python are sampled, to bound the memory.
    find_torch : callable
        Returns torch if it is in use, else None.

    Attributes
    ----------
    problems : list of Problem
        What did not work.
    """

    folder: Path
    clock: Clock = field(default_factory=SystemClock)
    call_tree_s: float = CALL_TREE_S
    tick_s: float = TICK_S
    find_torch: Callable[[], Any] = torch_loaded
    problems: list[Problem] = field(default_factory=list)
    _sampler: Profiler | None = None
    _torch: TorchWindow | None = None
    _started_s: float = 0.0
    _is_sampling: bool = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Profile the block; what the block raises passes through unchanged."""
        if threading.current_thread() is not threading.main_thread():
            self._note(
                "The job did not run on the main thread of its process.",
                "Run it in a worker of its own; this one cannot be profiled.",
            )
            yield
            return
        self._started_s = self.clock.monotonic_s()
        self._try(self._start_torch, "torch.profiler")
        self._try(self._start_sampler, "pyinstrument")
        try:
            with _ticking(self._tick, self.tick_s):
                yield
        finally:
            self._try(self._stop_sampler, "pyinstrument")
            self._try(self._stop_torch, "torch.profiler")

    def write(self) -> dict[str, Any]:
        """Write what was found; returns a JSON-ready summary.

        Returns
        -------
        dict
            ``files`` (name to bytes), ``functions`` (most time in themselves first), ``torch``
            (None without a window) and ``problems``.
        """
        found: dict[str, Any] = {"functions": [], "sampled_s": None, "torch": None}
        self._try(lambda: found.update(self._write_call_tree()), "pyinstrument")
        self._try(lambda: found.update(self._write_trace()), "torch.profiler")
        written = (self.folder / name for name in DeepFile if name is not DeepFile.SUMMARY)
        return found | {
            "files": {path.name: path.stat().st_size for path in written if path.exists()},
            "problems": [{"detail": p.detail, "advice": p.advice} for p in self.problems],
        }

    def _start_sampler(self) -> None:
        if importlib.util.find_spec("pyinstrument") is None:
            self._note("pyinstrument is not installed.", INSTALL_ADVICE)
            return
        from pyinstrument import Profiler

        self._sampler = Profiler(interval=SAMPLE_S, async_mode="disabled")
        self._sampler.start(target_description=f"job {self.folder.name}")
        self._is_sampling = True

    def _stop_sampler(self) -> None:
        is_sampling, self._is_sampling = self._is_sampling, False
        if self._sampler is not None and is_sampling:
            self._sampler.stop()

    def _start_torch(self) -> None:
        torch = self.find_torch()
        if torch is not None:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            window = TorchWindow(torch, self.clock, self.folder)
            window.start()
            self._torch = window

    def _stop_torch(self) -> None:
        if self._torch is not None:
            self._torch.stop()

    def _tick(self) -> None:
        """Called four times a second on the thread of the job, between two steps of Python."""
        if self._torch is not None:
            self._try(self._torch.tick, "torch.profiler")
        if self.clock.monotonic_s() - self._started_s >= self.call_tree_s:
            self._try(self._stop_sampler, "pyinstrument")

    def _write_call_tree(self) -> dict[str, Any]:
        session = None if self._sampler is None else self._sampler.last_session
        if self._sampler is None or session is None:
            return {}
        # The page asks another site for fonts; a profile has to open offline, and to stay here.
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        page = _ELSEWHERE.sub("data:text/css,", self._sampler.output_html())
        page = page.replace("<script>", _NO_STORE + "<script>", 1)
        (self.folder / DeepFile.CALL_TREE).write_text(page, encoding="utf-8")
        functions = top_functions(session.root_frame(), session.duration)
        return {"functions": functions, "sampled_s": round(session.duration, 3)}

    def _write_trace(self) -> dict[str, Any]:
        if self._torch is None:
            return {}
        return {"torch": self._torch.write(self.folder / DeepFile.TORCH_TRACE)}

    def _try(self, step: Callable[[], object], who: str) -> None:
        try:
            step()
        except Exception as error:
            log.warning("%s failed in a deep profile", who, exc_info=True)
            detail = f"{who} failed: {type(error).__name__}: {error}"
            self._note(detail[:300], "The job is not affected. The log of the worker tells more.")

    def _note(self, detail: str, advice: str) -> None:
        self.problems.append(Problem(detail, advice))


def top_functions(root: Frame | None, duration_s: float) -> list[dict[str, Any]]:
    """Sum the time that functions took in themselves, without what they called.

    Returns
    -------
    list of dict
        ``function``, ``file``, ``self_s`` and ``share_pct`` of the sampled time.
    """
    times_s: dict[tuple[str, str], float] = defaultdict(float)
    waiting = [] if root is None else [root]
    while waiting:
        frame = waiting.pop()
        inner = [child for child in frame.children if not child.is_synthetic]
        own_s = frame.time - sum(child.time for child in inner)
        times_s[frame.function, frame.file_path_short or ""] += own_s
        waiting.extend(child for child in inner if not _is_ours(child))
    longest = sorted(times_s, key=lambda key: -times_s[key])[:TOP_FUNCTIONS]
    return [
        {
            "function": function,
            "file": file,
            "self_s": round(times_s[function, file], 4),
            "share_pct": round(100 * times_s[function, file] / duration_s, 1),
        }
        for function, file in longest
        if duration_s > 0 and times_s[function, file] > 0
    ]


def _is_ours(frame: Frame) -> bool:
    """Whether it belongs to the profilers themselves."""
    return bool(frame.file_path) and Path(str(frame.file_path)).name in _OURS


def write_document(path: Path, document: dict[str, Any]) -> None:
    """Write JSON so that a reader sees the old file or the new one, never a part."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(document, indent=1), encoding="utf-8")
    beside.replace(path)


@contextmanager
def _ticking(tick: Callable[[], None], every_s: float) -> Iterator[None]:
    """Call a function on the main thread again and again, without a signal of the system.

    Profilers can only be stopped on the thread they watch. A signal would interrupt system calls
    of libraries; ``interrupt_main`` runs the handler between two steps of Python.
    """
    done, busy = threading.Event(), threading.Lock()

    def ring() -> None:
        while not done.wait(every_s):
            interrupt_main(TICK_SIGNAL)

    def handle(_number: int, frame: FrameType | None) -> None:
        # A tick may take longer than the pause between two.
        if done.is_set() or busy.locked() or not may_cut(frame):
            return
        with busy:
            tick()

    before = signal.signal(TICK_SIGNAL, handle)
    bell = threading.Thread(target=ring, name="deep-profile", daemon=True)
    bell.start()
    try:
        yield
    finally:
        done.set()
        bell.join()
        signal.signal(TICK_SIGNAL, before)
