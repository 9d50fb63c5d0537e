"""Which stages take most of the time, every moment counted once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from backend.profiling.self_time import exclusive_ns
from backend.profiling.spans import NS, PipelineProfile, SpanKind

THRESHOLD_PERCENT = 20.0
HIGH_ABOVE_PERCENT, CRITICAL_ABOVE_PERCENT = 30.0, 40.0


class Severity(StrEnum):
    """How much of the time a stage takes."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"


@dataclass(frozen=True)
class Bottleneck:
    """A stage that takes much of the time.

    Parameters
    ----------
    avg_percent : float
        Share of the wall time that the stage itself takes, without the stages inside it; mean
        over the pipelines that ran it. Where stages overlap they share the time equally.
    avg_duration_seconds : float
        The same in seconds per pipeline.
    occurrences : int
        Runs of the stage in all pipelines.
    pipelines : int
        Pipelines that ran it.
    kind : SpanKind
        What most of its time was spent on.
    """

    stage: str
    avg_percent: float
    avg_duration_seconds: float
    occurrences: int
    severity: Severity
    pipelines: int
    kind: SpanKind

    def to_document(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return asdict(self) | {"severity": self.severity.value, "kind": self.kind.value}


@dataclass
class StageShare:
    """What one stage took in one pipeline."""

    percent: float
    own_s: float
    occurrences: int
    seconds_by_kind: dict[SpanKind, float]


def identify_bottlenecks(
    profiles: Sequence[PipelineProfile], threshold_percent: float = THRESHOLD_PERCENT
) -> list[Bottleneck]:
    """List the stages above a share of the time, the largest first.

    Parameters
    ----------
    threshold_percent : float
        Least share of the wall time, 0 to 100.
    """
    return rank([stage_shares(profile) for profile in profiles], threshold_percent)


def rank(
    shares: Iterable[Mapping[str, StageShare]], threshold_percent: float = THRESHOLD_PERCENT
) -> list[Bottleneck]:
    """List the same from the ``stage_shares`` of pipelines, which cost more than the ranking."""
    by_name: dict[str, list[StageShare]] = {}
    for of_one in shares:
        for name, share in of_one.items():
            by_name.setdefault(name, []).append(share)
    found = (_bottleneck(name, parts) for name, parts in by_name.items())
    large = [bottleneck for bottleneck in found if bottleneck.avg_percent >= threshold_percent]
    return sorted(large, key=lambda bottleneck: -bottleneck.avg_percent)


def severity_of(percent: float) -> Severity:
    """Grade a share of the time.

    >>> [severity_of(percent).value for percent in (52.6, 40.0, 30.0)]
    ['critical', 'high', 'medium']
    """
    if percent > CRITICAL_ABOVE_PERCENT:
        return Severity.CRITICAL
    return Severity.HIGH if percent > HIGH_ABOVE_PERCENT else Severity.MEDIUM


def stage_shares(profile: PipelineProfile) -> dict[str, StageShare]:
    """Divide a pipeline's wall time among its stages by name; the shares sum to at most 100 %."""
    spans = {span.id: span for span in profile.spans if span.kind is not SpanKind.QUEUE}
    own = exclusive_ns(
        {number: profile.interval(span) for number, span in spans.items()},
        {number: span.parent for number, span in spans.items()},
    )
    shares: dict[str, StageShare] = {}
    for number, span in spans.items():
        share = shares.setdefault(span.name, StageShare(0.0, 0.0, 0, {}))
        own_s = own[number] / NS
        share.own_s += own_s
        share.occurrences += 1
        share.seconds_by_kind[span.kind] = share.seconds_by_kind.get(span.kind, 0.0) + own_s
    for share in shares.values():
        share.percent = 100 * share.own_s / profile.total_duration if profile.total_ns else 0.0
    return shares


def _bottleneck(name: str, parts: Sequence[StageShare]) -> Bottleneck:
    percent = sum(part.percent for part in parts) / len(parts)
    seconds: dict[SpanKind, float] = {}
    for part in parts:
        for kind, own_s in part.seconds_by_kind.items():
            seconds[kind] = seconds.get(kind, 0.0) + own_s
    return Bottleneck(
        stage=name,
        avg_percent=percent,
        avg_duration_seconds=sum(part.own_s for part in parts) / len(parts),
        occurrences=sum(part.occurrences for part in parts),
        severity=severity_of(percent),
        pipelines=len(parts),
        kind=max(seconds, key=lambda kind: seconds[kind]),
    )
