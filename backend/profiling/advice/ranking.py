"""Which advice is worth a person's time, and in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain

from backend.profiling.advice import (
    rules_compile,
    rules_compute,
    rules_device,
    rules_flow,
    rules_memory,
    rules_quality,
)
from backend.profiling.advice.advice import Advice, AdviceKind, Confidence
from backend.profiling.advice.evidence import Evidence
from backend.profiling.advice.rule import MIN_RUNS, Rule
from backend.profiling.advice.texts import critical_line
from backend.profiling.bottlenecks import Severity, severity_of
from backend.profiling.experiment import PUT_AWAY, Experiment, ExperimentState

MOST_SHOWN = 5
LEAST_PCT, LEAST_S = 3.0, 1.0
WEIGHTS = {Confidence.HIGH: 1.0, Confidence.MEDIUM: 0.7, Confidence.LOW: 0.3}
# What stops jobs comes before what takes seconds, and what only informs comes last.
PLACES = {AdviceKind.WARNING: 0, AdviceKind.ADVICE: 1, AdviceKind.EXPERIMENT: 1, AdviceKind.NOTE: 2}

Tests = Mapping[str, Experiment]

RULES: Sequence[Rule] = tuple(
    chain(
        rules_compute.RULES,
        rules_compile.RULES,
        rules_quality.RULES,
        rules_memory.RULES,
        rules_device.RULES,
        rules_flow.RULES,
    )
)


def recommend(
    evidence: Evidence, tests: Tests | None = None, rules: Sequence[Rule] = RULES
) -> list[Advice]:
    """Say what to change first.

    Parameters
    ----------
    tests : mapping, optional
        The tests of earlier advice by its identifier, dismissed ones among them.

    Returns
    -------
    list of Advice
        At most five: warnings, then by expected seconds times confidence, then notes.
    """
    found = (_best_open(rule, evidence, tests or {}) for rule in rules)
    shown = [advice for advice in found if advice is not None]
    return sorted(shown, key=_order)[:MOST_SHOWN]


def is_worth_showing(advice: Advice) -> bool:
    """Whether it is more than noise: enough runs, enough to save, and a change at all."""
    if advice.kind is AdviceKind.WARNING:
        return True
    n = advice.evidence["n"]
    if not isinstance(n, int) or n < MIN_RUNS or _is_in_force(advice):
        return False
    if advice.kind is AdviceKind.NOTE:
        return True
    gain = advice.gain
    return gain is not None and (gain.pct >= LEAST_PCT or gain.s_per_job >= LEAST_S)


def with_test(advice: Advice, test: Experiment | None) -> Advice | None:
    """Set the advice beside its test on the user's own jobs.

    Returns
    -------
    Advice or None
        With its test while that runs. None where it is put away, dismissed or tried for this very
        change without success, unless the evidence has changed by 20 % since. A confirmed value
        that is advised again is not in force: then the advice is open as if never tried.
    """
    if test is None:
        return advice
    if test.state is not ExperimentState.DISMISSED and not _tests_this(advice, test):
        return advice
    if test.with_evidence(advice.strength).state in PUT_AWAY:
        return None
    return replace(advice, test=test) if test.state is ExperimentState.APPLIED else advice


def seed_lines(evidence: Evidence, shown: Sequence[Advice]) -> list[str]:
    """Write the lines of earlier versions: the largest stages, then what is advised."""
    stages = sorted(evidence.top_stages, key=lambda stage: -stage.share)
    lines = [
        critical_line(stage.name, 100 * stage.share)
        for stage in stages
        if severity_of(100 * stage.share) is Severity.CRITICAL
    ]
    return lines + [advice.seed_text for advice in shown if advice.seed_text is not None]


def _best_open(rule: Rule, evidence: Evidence, tests: Tests) -> Advice | None:
    """Ask a rule, and again without the stage whose advice is noise or put away."""
    advice = rule(evidence)
    if advice is None:
        return None
    if is_worth_showing(advice):
        shown = with_test(advice, tests.get(advice.advice_id))
        if shown is not None:
            return shown
    others = tuple(stage for stage in evidence.stages if stage.name != advice.stage)
    if len(others) == len(evidence.stages):
        return None
    return _best_open(rule, replace(evidence, stages=others), tests)


def _tests_this(advice: Advice, test: Experiment) -> bool:
    action = advice.action
    change = (test.setting, test.old, test.new)
    return action is not None and (action.setting, action.old, action.new) == change


def _is_in_force(advice: Advice) -> bool:
    action = advice.action
    return action is not None and action.old is not None and action.old == action.new


def _order(advice: Advice) -> tuple[int, float, str]:
    seconds = advice.gain.s_per_job if advice.gain else 0.0
    return PLACES[advice.kind], -seconds * WEIGHTS[advice.confidence], advice.advice_id
