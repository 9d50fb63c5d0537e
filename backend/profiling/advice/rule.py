"""A rule looks at the evidence and gives one piece of advice, or none."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from backend.profiling.advice.advice import (
    Action,
    Advice,
    AdviceKind,
    Confidence,
    ExpectedGain,
    Facts,
    Method,
    QualityRisk,
)
from backend.profiling.advice.evidence import Evidence, JobTimes
from backend.profiling.advice.rule_id import RuleId
from backend.profiling.advice.stage_evidence import StageEvidence
from backend.profiling.advice.texts import wording
from backend.profiling.experiment import Value
from backend.profiling.gains import saving_s
from backend.runtime_settings import RUNTIME_SETTINGS

MIN_RUNS = 5
WHOLE_JOB = "job"


class Rule(Protocol):
    """One rule; it is silent, returning None, without the evidence that it needs."""

    def __call__(self, evidence: Evidence) -> Advice | None:
        """Look at the evidence."""


@dataclass(frozen=True)
class Terms:
    """How a rule backs its advice; see `Advice`.

    ``kind`` None is an experiment at low confidence, and advice else.
    """

    method: Method = Method.AMDAHL
    confidence: Confidence = Confidence.MEDIUM
    risk: QualityRisk = QualityRisk.NONE
    kind: AdviceKind | None = None
    strength: float = 0.0


def advise(
    evidence: Evidence,
    rule: RuleId,
    stage: StageEvidence | None,
    gain: ExpectedGain | None,
    facts: Facts,
    action: Action | None,
    terms: Terms | None = None,
) -> Advice | None:
    """Put a piece of advice together; None if its seconds are unknown and are what it is about.

    Parameters
    ----------
    stage : StageEvidence or None
        None for the whole job.
    facts : mapping
        The rule's figures; ``n`` among them counts what they rest on, if that is not runs.
    """
    terms = terms or Terms()
    usual = AdviceKind.EXPERIMENT if terms.confidence is Confidence.LOW else AdviceKind.ADVICE
    kind = terms.kind or usual
    if gain is None and kind is usual:
        return None
    name = stage.name if stage else WHOLE_JOB
    figures: Facts = {**facts, **_foundation(evidence, stage, facts.get("n"))}
    words = wording(rule, {**figures, "stage": name})
    return Advice(
        rule=rule,
        stage=name,
        kind=kind,
        evidence=figures,
        gain=gain,
        strength=gain.s_per_job if gain else terms.strength,
        method=terms.method,
        confidence=terms.confidence,
        quality_risk=terms.risk,
        action=action,
        title=words.title,
        detail=words.detail,
        seed_text=words.seed_text,
    )


def change(evidence: Evidence, setting: str, new: Value, *, needs_restart: bool = True) -> Action:
    """Propose a value for a setting, next to the one in force.

    It is available where the program reads the setting for every job and pairs of jobs can
    judge it; what the program reads for every job needs no restart.
    """
    found = RUNTIME_SETTINGS.get(setting)
    can_be_tried = found is not None and not found.acts_between_jobs
    old = evidence.settings.get(setting)
    return Action(
        setting,
        old,
        new,
        needs_restart and found is None,
        can_be_tried and setting in evidence.settings,
    )


def speed_up(
    evidence: Evidence, stage: StageEvidence, factor_low: float, factor_high: float
) -> ExpectedGain | None:
    """Return what a faster stage saves of the job; None if the job's time is unknown."""
    job = evidence.job
    if job is None or job.total_s <= 0:
        return None
    return ExpectedGain.of(saving_s(job.total_s, stage.share, factor_low, factor_high), job.total_s)


def removal(job: JobTimes | None, low_s: float, high_s: float) -> ExpectedGain | None:
    """Return what it saves to take between two amounts of time out of the job.

    Parameters
    ----------
    low_s, high_s : float
        Seconds per job, ``low_s`` not above ``high_s``; cut to the job's time.

    Returns
    -------
    ExpectedGain or None
        None if the job's time is unknown or there is nothing to save.

    Source
    ------
    Amdahl's law for the part of ``high_s``: with the factor 1 / (1 - low / high) it saves
    ``low_s``, and as the factor grows without end all of it.
    """
    if job is None or job.total_s <= 0 or high_s <= 0:
        return None
    part_s = min(high_s, job.total_s)
    kept = 1 - min(max(low_s, 0.0), part_s) / part_s
    factor = 1 / kept if kept > 0 else math.inf
    return ExpectedGain.of(
        saving_s(job.total_s, part_s / job.total_s, factor, math.inf), job.total_s
    )


def factor_of_stage(part: float, factor: float) -> float:
    """Tell how much faster a stage is when a part of it is ``factor`` times as fast.

    >>> factor_of_stage(0.5, 2.0)
    1.3333333333333333
    """
    return 1 / (1 - part + part / factor)


def largest(found: Iterable[Advice | None]) -> Advice | None:
    """Of the same advice for several stages, keep the one that saves the most."""
    given = [advice for advice in found if advice is not None]
    return max(given, key=lambda advice: advice.strength, default=None)


def per_stage(look: Callable[[Evidence, StageEvidence], Advice | None]) -> Rule:
    """Make a rule of one that looks at a single stage."""

    def rule(evidence: Evidence) -> Advice | None:
        return largest(look(evidence, stage) for stage in evidence.stages)

    rule.__name__ = look.__name__
    return rule


def _foundation(evidence: Evidence, stage: StageEvidence | None, n: object) -> Facts:
    """Advice is as well founded as the least of what went into it."""
    runs = [found.n for found in (evidence.job, stage) if found is not None]
    if isinstance(n, int):
        runs.append(n)
    window = evidence.job.window if evidence.job else None
    return {"n": min(runs, default=None), "window": window}
