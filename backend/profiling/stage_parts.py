"""What the stages of a run noted of themselves, by their path through the stages around them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from backend.profiling.spans import NS, PipelineProfile, Span, SpanKind
from backend.profiling.stage_facts import FACTS, joined_facts
from backend.profiling.work import FLOP, StageWork, added_work

# An engine may name a stage of its own for every step.
MOST_INNER = 16
SEPARATOR = "/"


@dataclass
class StagePart:
    """All runs of a stage at one place, with the stages inside it.

    Parameters
    ----------
    path : str
        Names from the outermost stage on, as in ``shape_generation/denoise``.
    top : str or None
        The outermost stage; None if it is that.
    spans : list of Span
        Its runs.
    noted : bool
        Whether a run told something of itself, other than through the stages inside it.
    notes : list of mapping
        Attributes of its runs and of those inside them, as far as they told something.
    peak_bytes : int or None
        Most memory on the GPU in it or inside it.
    """

    path: str
    top: str | None = None
    spans: list[Span] = field(default_factory=list)
    noted: bool = False
    notes: list[Mapping[str, Any]] = field(default_factory=list)
    peak_bytes: int | None = None

    @property
    def kind(self) -> SpanKind:
        """What its first run spent its time on."""
        return self.spans[0].kind

    @property
    def gpu_s(self) -> float | None:
        """Time on the GPU in seconds; None unless every run has one."""
        times_ns = [span.gpu_ns for span in self.spans]
        known_ns = [time_ns for time_ns in times_ns if time_ns is not None]
        return sum(known_ns) / NS if len(known_ns) == len(times_ns) else None

    @property
    def work(self) -> StageWork:
        """What was computed in it."""
        return added_work(self.notes)

    @property
    def facts(self) -> dict[str, dict[str, Any]]:
        """How it went about that, without what was noted inside it."""
        return joined_facts(span.attributes for span in self.spans if span.attributes)

    def elapsed_s(self, profile: PipelineProfile) -> float:
        """Wall time of all its runs in seconds."""
        lengths_ns = (end_ns - start_ns for start_ns, end_ns in map(profile.interval, self.spans))
        return sum(lengths_ns) / NS

    def enter(self, span: Span, noted: Mapping[str, Any] | None) -> None:
        """Count one of its runs, or a run inside it."""
        if noted is not None:
            self.notes.append(noted)
        if span.peak_bytes is not None:
            self.peak_bytes = max(self.peak_bytes or 0, span.peak_bytes)


def stage_parts(profile: PipelineProfile) -> dict[str, StagePart]:
    """Find all stages of a run by path, in the order of their first start.

    The wait in the queue is not one of them.
    """
    parts: dict[str, StagePart] = {}
    around: dict[int, list[StagePart]] = {}
    for span in profile.spans:
        if span.parent is None:
            outer: list[StagePart] = []
            if span.kind is SpanKind.QUEUE:
                continue
        elif (known := around.get(span.parent)) is not None:
            outer = known
        else:
            continue
        path = f"{outer[-1].path}{SEPARATOR}{span.name}" if outer else span.name
        own = parts.setdefault(path, StagePart(path, outer[0].path if outer else None))
        own.spans.append(span)
        noted = _noted(span)
        own.noted = own.noted or noted is not None
        around[span.id] = [*outer, own]
        for part in around[span.id]:
            part.enter(span, noted)
    return parts


def inner_parts(parts: Mapping[str, StagePart], profile: PipelineProfile) -> list[StagePart]:
    """Pick the stages inside others that noted something, the longest if there are many.

    They stay in the order of their first start.
    """
    found = [part for part in parts.values() if part.noted and part.top is not None]
    longest = sorted(found, key=lambda part: -part.elapsed_s(profile))[:MOST_INNER]
    kept = {part.path for part in longest}
    return [part for part in found if part.path in kept]


def nearest_around(path: str, known: Iterable[str]) -> str | None:
    """Find the innermost of some stages that a stage lies in; None if it lies in none.

    >>> nearest_around("a/b/c", ["a", "a/b/c", "b"])
    'a'
    """
    outer = [other for other in known if path.startswith(other + SEPARATOR)]
    return max(outer, key=len, default=None)


def _noted(span: Span) -> Mapping[str, Any] | None:
    noted = span.attributes
    return noted if noted and (FLOP in noted or FACTS in noted) else None
