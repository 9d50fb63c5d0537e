"""Rules on compiled models."""

from __future__ import annotations

from collections.abc import Sequence

from backend.profiling.advice.advice import Advice, Facts
from backend.profiling.advice.evidence import Evidence
from backend.profiling.advice.rule import Rule, advise, change, per_stage, removal
from backend.profiling.advice.rule_id import RuleId
from backend.profiling.advice.stage_evidence import StageEvidence

# A change should have paid back by the middle of the day.
PAID_BACK_BY = 0.5


def _compile(evidence: Evidence, stage: StageEvidence) -> Advice | None:
    """R7: to compile pays back within half a day's jobs."""
    found = stage.compiled
    if found is None or found.is_on or found.eager_s is None or found.compiled_s is None:
        return None
    if found.compile_s is None or not found.jobs_per_day:
        return None
    saved_s = found.eager_s - found.compiled_s
    if saved_s <= 0 or found.compile_s / saved_s >= PAID_BACK_BY * found.jobs_per_day:
        return None
    facts: Facts = {
        "eager_s": found.eager_s,
        "compiled_s": found.compiled_s,
        "compile_s": found.compile_s,
        "break_even_jobs": found.compile_s / saved_s,
        "jobs_per_day": found.jobs_per_day,
    }
    # At least what is left when each job of a day carries its part of the compilation.
    gain = removal(evidence.job, saved_s - found.compile_s / found.jobs_per_day, saved_s)
    action = change(evidence, "compile_models", True)
    return advise(evidence, RuleId.COMPILE, stage, gain, facts, action)


def _recompiles(evidence: Evidence, stage: StageEvidence) -> Advice | None:
    """R8: a compiled stage breaks into pieces or is compiled over and over."""
    found = stage.compiled
    if found is None or not found.is_on:
        return None
    again, breaks = found.recompiles_per_job or 0.0, found.graph_breaks or 0
    if found.recompile_s is None or (again <= 0 and breaks <= 0):
        return None
    facts: Facts = {
        "graph_breaks": breaks,
        "recompiles_per_job": again,
        "recompile_s": found.recompile_s,
        "skipped_s": found.skipped_s,
    }
    lost_s = found.recompile_s + found.skipped_s
    gain = removal(evidence.job, lost_s, lost_s)
    action = change(evidence, "compile_dynamic", True)
    return advise(evidence, RuleId.RECOMPILES, stage, gain, facts, action)


RULES: Sequence[Rule] = (per_stage(_compile), per_stage(_recompiles))
