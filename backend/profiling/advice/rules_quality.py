"""Rules that save work, most of them at a price in the result.

What may change the result is never applied unasked, and not to all jobs.
"""

from __future__ import annotations

from collections.abc import Sequence

from backend.profiling.advice.advice import Advice, Confidence, Facts, QualityRisk
from backend.profiling.advice.evidence import Evidence
from backend.profiling.advice.rule import Rule, Terms, advise, change, per_stage, speed_up
from backend.profiling.advice.rule_id import RuleId
from backend.profiling.advice.stage_evidence import StageEvidence

DECODE_SHARE = 0.2
# A dense grid grows with the cube; that a coarse-to-fine one grows with the surface is assumed.
DENSE_EXPONENT, SURFACE_EXPONENT = 3.0, 2.0
LOSSY = Terms(risk=QualityRisk.LOSSY)
SAME_SURFACE = "In all these runs the surface would have been the same."
THIN_SHEETS = "Sheets thinner than a coarse cell may be lost: compare before you keep it."


def _steps(evidence: Evidence, stage: StageEvidence) -> Advice | None:
    """R3: fewer steps of a loop."""
    found = stage.steps
    if found is None or not 0 < found.fewer_steps < found.steps:
        return None
    factor = found.steps / found.fewer_steps
    facts: Facts = {"steps": found.steps, "fewer_steps": found.fewer_steps}
    action = change(evidence, "steps", found.fewer_steps, needs_restart=False)
    gain = speed_up(evidence, stage, factor, factor)
    return advise(evidence, RuleId.STEPS, stage, gain, facts, action, LOSSY)


def _dense_decode(evidence: Evidence, stage: StageEvidence) -> Advice | None:
    """R5: every corner of a grid is decoded, though few lie near the surface.

    It leaves the result as it is only where the engine compared: each of the shapes behind the
    advice would have had the same surface.
    """
    found = stage.decode
    if found is None or stage.share < DECODE_SHARE or not found.is_dense:
        return None
    fewer = found.hierarchical_queries
    if fewer is None or not 0 < fewer < found.queries:
        return None
    factor = _decode_factor(evidence, stage, found.queries / fewer, found.bookkeeping_s)
    facts: Facts = {
        "queries": found.queries,
        "hierarchical_queries": fewer,
        "resolution": found.resolution,
        "outcome": SAME_SURFACE if found.same_surface else THIN_SHEETS,
    }
    action = change(evidence, "decode", "hierarchical", needs_restart=False)
    gain = speed_up(evidence, stage, factor, factor)
    terms = Terms() if found.same_surface else LOSSY
    return advise(evidence, RuleId.DENSE_DECODE, stage, gain, facts, action, terms)


def _decode_factor(
    evidence: Evidence, stage: StageEvidence, fewer_times: float, bookkeeping_s: float | None
) -> float:
    """Return how much faster the stage gets when only the asking shrinks.

    A dense decode has compared, so its own time holds the bookkeeping already, once.
    """
    if evidence.job is None or bookkeeping_s is None:
        return fewer_times
    now_s = stage.share * evidence.job.total_s
    asking_s = max(0.0, now_s - bookkeeping_s)
    return now_s / (asking_s / fewer_times + min(bookkeeping_s, now_s))


def _decode_resolution(evidence: Evidence, stage: StageEvidence) -> Advice | None:
    """R6: a coarser grid."""
    found = stage.decode
    if found is None or stage.share < DECODE_SHARE or found.lower_resolution is None:
        return None
    if not 0 < found.lower_resolution < found.resolution:
        return None
    assumed = DENSE_EXPONENT if found.is_dense else SURFACE_EXPONENT
    exponent = assumed if found.exponent is None else found.exponent
    known = found.is_dense or found.exponent is not None
    factor = (found.resolution / found.lower_resolution) ** exponent
    facts: Facts = {
        "resolution": found.resolution,
        "lower_resolution": found.lower_resolution,
        "exponent": exponent,
    }
    return advise(
        evidence,
        RuleId.DECODE_RESOLUTION,
        stage,
        speed_up(evidence, stage, factor, factor),
        facts,
        change(evidence, "octree_resolution", found.lower_resolution, needs_restart=False),
        LOSSY if known else Terms(confidence=Confidence.LOW, risk=QualityRisk.LOSSY),
    )


RULES: Sequence[Rule] = tuple(
    per_stage(look) for look in (_steps, _dense_decode, _decode_resolution)
)
