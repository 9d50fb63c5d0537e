"""What a trace of torch.profiler tells of a card's idle time: who it waited for, stage by stage.

The trace is in Chrome's format: ``kernel``, ``gpu_memcpy`` and ``gpu_memset`` events ran on the
card, ``cuda_runtime`` and ``cuda_driver`` events are calls of the host that launched them (with the
same correlation) or waited for them, and ``user_annotation`` events are stages. While the card
idles, either nothing has been launched, and it waits for the host; or a kernel is on its way, and
it waits for that.

The profiler slows the host and not the card. So busy times are as without it, and waits are too
long; whoever relates them to an unprofiled run has to bound them by that run's time.

Source: event categories of Kineto, the tracer of torch.profiler.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

US = 1e6
ON_DEVICE = frozenset({"kernel", "gpu_memcpy", "gpu_memset"})
ON_HOST = frozenset({"cuda_runtime", "cuda_driver"})
OPERATIONS = frozenset({"cpu_op", "python_function", "user_annotation"})
# Calls that return only when the card has done what it was given. An asynchronous copy to pageable
# memory waits too, but torch lets one of these follow it.
WAITING = frozenset(
    {
        "cudaDeviceSynchronize", "cudaStreamSynchronize", "cudaEventSynchronize", "cudaMemcpy",
        "cuCtxSynchronize", "cuStreamSynchronize", "cuEventSynchronize",
    }
)  # fmt: skip
SEPARATOR = "/"

Event = Mapping[str, Any]


@dataclass(frozen=True)
class StageTrace:
    """What the card did in one stage, all its runs together.

    Parameters
    ----------
    wall_s : float
        Time in the stage, under the profiler.
    busy_s : float
        Time in which the card worked on what the stage had launched.
    host_wait_s, kernel_wait_s : float
        Time in which it idled with nothing launched, and with something on its way.
    kernels : int
        How many ran.
    median_kernel_us : float or None
        None where none ran.
    syncs : int
        Calls that waited for the card.
    sync_wait_s : float
        Time in which the card idled after such calls.
    sync_location : str or None
        Innermost operation or stage around most of these calls.
    """

    wall_s: float
    busy_s: float
    host_wait_s: float
    kernel_wait_s: float
    kernels: int
    median_kernel_us: float | None
    syncs: int
    sync_wait_s: float
    sync_location: str | None

    def to_document(self) -> dict[str, Any]:
        """Write it as what JSON can hold."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> StageTrace:
        """Read what ``to_document`` wrote."""
        return cls(**document)


def read_device_trace(events: Iterable[Event], stages: Collection[str]) -> dict[str, StageTrace]:
    """Sum up a trace.

    Parameters
    ----------
    events : iterable of mapping
        ``traceEvents`` of the document; times in microseconds.
    stages : collection of str
        Paths of the stages that are wanted, such as ``shape_generation/denoise``.

    Returns
    -------
    dict
        By path; without stages that launched nothing on a card.
    """
    timed = [event for event in events if event.get("ph") == "X" and "ts" in event]
    windows = _windows(timed, stages)
    launches = {
        event["args"]["correlation"]: event
        for event in timed
        if event.get("cat") in ON_HOST and "correlation" in (event.get("args") or {})
    }
    work = sorted(
        (_DeviceWork.of(event, launches) for event in timed if event.get("cat") in ON_DEVICE),
        key=lambda one: one.launched_us,
    )
    launched_us = [one.launched_us for one in work]
    waits = [event for event in timed if event.get("cat") in ON_HOST and event["name"] in WAITING]
    places = _places(timed, waits)
    found = {}
    for stage, own in windows.items():
        tally = _Tally()
        for window in own:
            first, last = (bisect_left(launched_us, at) for at in (window.start_us, window.end_us))
            inside = sorted(work[first:last], key=lambda one: one.start_us)
            syncs = [(_end(w), places[id(w)]) for w in waits if window.holds(w["ts"])]
            tally.add(window, inside, syncs)
        if tally.busy_us > 0:
            found[stage] = tally.result()
    return found


@dataclass(frozen=True)
class _Window:
    """One run of a stage on the host."""

    start_us: float
    end_us: float

    def holds(self, moment_us: float) -> bool:
        return self.start_us <= moment_us < self.end_us


@dataclass(frozen=True)
class _DeviceWork:
    """A kernel or a copy, and the call that launched it; ``ready_us`` is when that returned."""

    start_us: float
    end_us: float
    launched_us: float
    ready_us: float
    is_kernel: bool

    @classmethod
    def of(cls, event: Event, launches: Mapping[Any, Event]) -> _DeviceWork:
        launch = launches.get((event.get("args") or {}).get("correlation"))
        # Without its launch it is taken for launched when it began: its wait is the host's.
        launched_us = float((launch or event)["ts"])
        ready_us = _end(launch) if launch else launched_us
        is_kernel = event["cat"] == "kernel"
        return cls(float(event["ts"]), _end(event), launched_us, ready_us, is_kernel)


@dataclass
class _Tally:
    """Sums over the runs of a stage."""

    wall_us: float = 0.0
    busy_us: float = 0.0
    host_wait_us: float = 0.0
    kernel_wait_us: float = 0.0
    sync_wait_us: float = 0.0
    kernels_us: list[float] = field(default_factory=list)
    places: list[str] = field(default_factory=list)

    def add(
        self, window: _Window, work: Sequence[_DeviceWork], syncs: Sequence[tuple[float, str]]
    ) -> None:
        """Add one run: walk over the card's work and look at the gaps between."""
        self.wall_us += window.end_us - window.start_us
        self.kernels_us += [one.end_us - one.start_us for one in work if one.is_kernel]
        self.places += [place for _, place in syncs]
        ends = sorted(end_us for end_us, _ in syncs)
        until_us = window.start_us
        for one, ready_us in zip(work, _ready(work), strict=True):
            self._idle(until_us, one.start_us, ready_us, ends)
            self.busy_us += max(0.0, one.end_us - max(until_us, one.start_us))
            until_us = max(until_us, one.end_us)
        self._idle(until_us, window.end_us, window.end_us, ends)

    def _idle(
        self, from_us: float, to_us: float, ready_us: float, sync_ends_us: Sequence[float]
    ) -> None:
        """Count a gap: the host's until something is launched, the kernel's from then on."""
        if to_us <= from_us:
            return
        ready_us = min(max(ready_us, from_us), to_us)
        self.host_wait_us += ready_us - from_us
        self.kernel_wait_us += to_us - ready_us
        # A call that waited returns once the card has run dry, so within the gap that follows.
        first = bisect_right(sync_ends_us, from_us)
        if first < len(sync_ends_us) and sync_ends_us[first] <= to_us:
            self.sync_wait_us += to_us - from_us

    def result(self) -> StageTrace:
        common = Counter(self.places).most_common(1)
        return StageTrace(
            wall_s=self.wall_us / US,
            busy_s=self.busy_us / US,
            host_wait_s=self.host_wait_us / US,
            kernel_wait_s=self.kernel_wait_us / US,
            kernels=len(self.kernels_us),
            median_kernel_us=median(self.kernels_us) if self.kernels_us else None,
            syncs=len(self.places),
            sync_wait_s=self.sync_wait_us / US,
            sync_location=(common[0][0] or None) if common else None,
        )


def _ready(work: Sequence[_DeviceWork]) -> list[float]:
    """Return, for each piece of work, when the first of it and those after it was launched."""
    earliest: list[float] = []
    for one in reversed(work):
        earliest.append(min(one.ready_us, earliest[-1]) if earliest else one.ready_us)
    return earliest[::-1]


def _windows(events: Sequence[Event], stages: Collection[str]) -> dict[str, list[_Window]]:
    """Find the runs of stages by the annotations around them, thread by thread."""
    names = {name for stage in stages for name in stage.split(SEPARATOR)}
    marks = [e for e in events if e.get("cat") == "user_annotation" and e["name"] in names]
    found: dict[str, list[_Window]] = {}
    open_marks: dict[Any, list[Event]] = {}
    for mark in sorted(marks, key=_outer_first):
        around = open_marks.setdefault(_thread(mark), [])
        _close_before(around, mark["ts"])
        around.append(mark)
        path = SEPARATOR.join(str(one["name"]) for one in around)
        if path in stages:
            found.setdefault(path, []).append(_Window(float(mark["ts"]), _end(mark)))
    return found


def _places(events: Sequence[Event], waits: Sequence[Event]) -> dict[int, str]:
    """Name the innermost operation around each call; '' where there is none."""
    wanted = {id(event) for event in waits}
    around: dict[Any, list[Event]] = {}
    found: dict[int, str] = {}
    for event in sorted(events, key=_outer_first):
        is_wait = id(event) in wanted
        if not is_wait and event.get("cat") not in OPERATIONS:
            continue
        own = around.setdefault(_thread(event), [])
        _close_before(own, event["ts"])
        if is_wait:
            found[id(event)] = str(own[-1]["name"]) if own else ""
        else:
            own.append(event)
    return found


def _close_before(around: list[Event], moment_us: float) -> None:
    while around and _end(around[-1]) <= moment_us:
        around.pop()


def _outer_first(event: Event) -> tuple[float, float]:
    return float(event["ts"]), -float(event.get("dur", 0.0))


def _thread(event: Event) -> tuple[Any, Any]:
    return event.get("pid"), event.get("tid")


def _end(event: Event) -> float:
    return float(event["ts"]) + float(event.get("dur", 0.0))
