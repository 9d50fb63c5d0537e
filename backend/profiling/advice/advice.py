"""One piece of advice: what to change, what it would save, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from backend.profiling.advice.rule_id import RuleId
from backend.profiling.experiment import Experiment, Value
from backend.profiling.gains import Gain

Facts = Mapping[str, str | float | int | bool | None]


class Method(StrEnum):
    """What the gain was worked out by."""

    AMDAHL = "amdahl"
    ROOFLINE = "roofline"
    AB_MEASURED = "ab_measured"
    QUEUEING = "queueing"


class Confidence(StrEnum):
    """How sure the gain is.

    High was measured on the user's own jobs, medium follows from times measured here, low is
    no more than a bound.
    """

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class QualityRisk(StrEnum):
    """Whether the result may change."""

    NONE = "none"
    LOSSY = "lossy"


class AdviceKind(StrEnum):
    """How to show it."""

    WARNING = "warning"
    ADVICE = "advice"
    EXPERIMENT = "experiment"
    NOTE = "note"


@dataclass(frozen=True)
class Action:
    """One setting to change; ``available`` says whether the running program can change it."""

    setting: str
    old: Value
    new: Value
    needs_restart: bool
    available: bool

    def to_document(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {
            "setting": self.setting,
            "from": self.old,
            "to": self.new,
            "needs_restart": self.needs_restart,
            "available": self.available,
        }


@dataclass(frozen=True)
class ExpectedGain:
    """Seconds saved per job: expected, at least, at most, and if the part took no time at all.

    Parameters
    ----------
    s_per_job : float
        The middle of the range.
    pct : float
        The same as a percentage of the time that a job takes now.
    """

    s_per_job: float
    pct: float
    low_s: float
    high_s: float
    ceiling_s: float

    @classmethod
    def of(cls, gain: Gain, total_s: float) -> ExpectedGain:
        """Relate a gain to the time of the whole, which is above zero."""
        middle_s = (gain.low_s + gain.high_s) / 2
        pct = 100 * middle_s / total_s
        return cls(middle_s, pct, gain.low_s, gain.high_s, gain.ceiling_s)

    def to_document(self) -> dict[str, float]:
        """Return it JSON-ready; ``low``, ``high`` and ``ceiling`` are in seconds."""
        return {
            "s_per_job": self.s_per_job,
            "pct": self.pct,
            "low": self.low_s,
            "high": self.high_s,
            "ceiling": self.ceiling_s,
        }


@dataclass(frozen=True)
class Advice:
    """One piece of advice with what backs it.

    Parameters
    ----------
    stage : str
        The stage, or ``job`` for the whole.
    evidence : mapping
        The figures by name, with ``n`` and ``window``.
    gain : ExpectedGain or None
        None where it is not about seconds.
    strength : float
        What a change of the evidence is measured by: the seconds, or the rule's own figure.
    action : Action or None
        None where only a person can act.
    test : Experiment or None
        The test of it on the user's own jobs, if one was begun.
    """

    rule: RuleId
    stage: str
    kind: AdviceKind
    evidence: Facts
    gain: ExpectedGain | None
    strength: float
    method: Method
    confidence: Confidence
    quality_risk: QualityRisk
    action: Action | None
    title: str
    detail: str
    seed_text: str | None
    test: Experiment | None = None

    @property
    def advice_id(self) -> str:
        """The same for the same advice in every run of the rules; it may stand in an address."""
        return f"{self.rule.value}.{self.stage.replace('/', '.')}"

    @property
    def may_auto_apply(self) -> bool:
        """Whether it may be tried without being asked: sure enough and the result stays."""
        sure = self.kind is AdviceKind.ADVICE and self.confidence is not Confidence.LOW
        possible = self.action is not None and self.action.available
        return sure and possible and self.quality_risk is QualityRisk.NONE

    def to_document(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {
            "id": self.advice_id,
            "rule": self.rule.value,
            "stage": self.stage,
            "kind": self.kind.value,
            "evidence": dict(self.evidence),
            "gain": self.gain.to_document() if self.gain else None,
            "strength": self.strength,
            "method": self.method.value,
            "confidence": self.confidence.value,
            "quality_risk": self.quality_risk.value,
            "action": self.action.to_document() if self.action else None,
            "may_auto_apply": self.may_auto_apply,
            "title": self.title,
            "detail": self.detail,
            "seed_text": self.seed_text,
            "verify": _verification(self.test),
        }


def _verification(test: Experiment | None) -> dict[str, Any] | None:
    if test is None:
        return None
    ratio = test.speed_up()
    return {
        "state": test.state.value,
        "reason": test.reason.value if test.reason else None,
        "before": test.old,
        "after": test.new,
        "ratio": ratio.ratio if ratio else None,
        "ci": [ratio.low, ratio.high] if ratio and ratio.low is not None else None,
    }
