"""Rules on how a stage computes: types, attention, launches, and its place under the roof."""

from __future__ import annotations

from collections.abc import Sequence

from backend.profiling.advice.advice import Advice, AdviceKind, Confidence, Facts, Method
from backend.profiling.advice.evidence import Evidence
from backend.profiling.advice.roofline_of_stage import roof_in, standing
from backend.profiling.advice.rule import (
    Rule,
    Terms,
    advise,
    change,
    factor_of_stage,
    per_stage,
    removal,
    speed_up,
)
from backend.profiling.advice.rule_id import RuleId
from backend.profiling.advice.stage_evidence import MatmulFigures, StageEvidence
from backend.profiling.spans import SpanKind

HALF = "bf16"
WIDE = ("fp32", "tf32")
# Both are stored in 4 bytes, bf16 in 2.
BYTES_RATIO = 2.0
ATTENTION_SHARE = 0.10
IDLE_MFU = 0.5
HOST_WAIT_SHARE, SHORT_KERNEL_US = 0.15, 10.0
MEMORY_BOUND_SHARE = 0.7
GOOD_MFU, GOOD_FACTOR = 0.6, 1.2


def _full_precision(evidence: Evidence, stage: StageEvidence) -> Advice | None:
    """R1: matrix products in a wide type."""
    matmul = stage.matmul
    if matmul is None or matmul.dtype not in WIDE or stage.kind is not SpanKind.GPU:
        return None
    factors = _bf16_factors(evidence, stage, matmul)
    if factors is None:
        return None
    low, high = (factor_of_stage(matmul.share, factor) for factor in factors)
    if matmul.bf16_factor is None:
        roof = roof_in(evidence, stage, HALF, BYTES_RATIO)
        low, high = roof.capped(low, high) if roof else (low, high)
        terms = Terms(Method.ROOFLINE, Confidence.LOW)
    else:
        terms = Terms()
    return advise(
        evidence,
        RuleId.FULL_PRECISION,
        stage,
        speed_up(evidence, stage, low, high),
        {"dtype": matmul.dtype, "matmul_share": matmul.share, "factor": factors[1]},
        change(evidence, "precision", HALF),
        terms,
    )


def _bf16_factors(
    evidence: Evidence, stage: StageEvidence, matmul: MatmulFigures
) -> tuple[float, float] | None:
    """Return how much faster products get: as timed here, or 1 to what the peaks allow."""
    if matmul.bf16_factor is not None:
        return (matmul.bf16_factor,) * 2 if matmul.bf16_factor > 1 else None
    peaks = evidence.peaks.flop_per_s if evidence.peaks else {}
    if HALF not in peaks or matmul.dtype not in peaks:
        return None
    now = standing(evidence, stage)
    # More operations per second do not help a stage that waits for memory; fewer bytes do.
    if now is not None and now.is_memory_bound:
        return 1.0, BYTES_RATIO
    return 1.0, max(1.0, peaks[HALF] / peaks[matmul.dtype])


def _slow_attention(evidence: Evidence, stage: StageEvidence) -> Advice | None:
    """R2: another attention backend is faster at this stage's shapes."""
    found = stage.attention
    if found is None or found.share < ATTENTION_SHARE or found.backend == found.best_backend:
        return None
    if not 0 < found.best_s < found.now_s:
        return None
    factor = found.now_s / found.best_s
    whole = factor_of_stage(found.share, factor)
    facts: Facts = {
        "backend": found.backend,
        "best_backend": found.best_backend,
        "attention_share": found.share,
        "factor": factor,
    }
    gain = speed_up(evidence, stage, whole, whole)
    action = change(evidence, "attention", found.best_backend)
    return advise(evidence, RuleId.SLOW_ATTENTION, stage, gain, facts, action)


def _guidance_twice(evidence: Evidence, stage: StageEvidence) -> Advice | None:
    """R4: guidance in two passes while the device has room for one of twice the size.

    It is silent where the peak of the device is not known, as on a processor.
    """
    found = stage.guidance
    if found is None or found.forwards_per_step != 2 or found.mfu >= IDLE_MFU or not found.fits:
        return None
    if not 0 < found.double_s < 2 * found.single_s:
        return None
    factor = factor_of_stage(found.share, 2 * found.single_s / found.double_s)
    facts: Facts = {"mfu": found.mfu, "single_s": found.single_s, "double_s": found.double_s}
    gain = speed_up(evidence, stage, factor, factor)
    action = change(evidence, "cfg_batch", True)
    return advise(evidence, RuleId.GUIDANCE_TWICE, stage, gain, facts, action)


def _launch_bound(evidence: Evidence, stage: StageEvidence) -> Advice | None:
    """R9: the device waits for the host, or for the next of many short kernels."""
    found, job = stage.launch, evidence.job
    if found is None or job is None:
        return None
    short = found.median_kernel_us is not None and found.median_kernel_us < SHORT_KERNEL_US
    if found.host_wait_s < HOST_WAIT_SHARE * stage.share * job.total_s and not short:
        return None
    waits_s = found.host_wait_s + found.kernel_wait_s
    return advise(
        evidence,
        RuleId.LAUNCH_BOUND,
        stage,
        removal(job, 0.0, waits_s),
        {
            "host_wait_s": found.host_wait_s,
            "kernel_wait_s": found.kernel_wait_s,
            "median_kernel_us": found.median_kernel_us,
        },
        change(evidence, "cuda_graphs", True),
        Terms(confidence=Confidence.LOW),
    )


def _host_sync(evidence: Evidence, stage: StageEvidence) -> Advice | None:
    """R23: the host waits for the device more than once in a step."""
    found = stage.sync
    if found is None or found.syncs_per_step <= 1:
        return None
    facts: Facts = {
        "syncs_per_step": found.syncs_per_step,
        "wait_s": found.wait_s,
        "location": found.location,
    }
    gain = removal(evidence.job, 0.0, found.wait_s)
    terms = Terms(confidence=Confidence.LOW)
    return advise(evidence, RuleId.HOST_SYNC, stage, gain, facts, None, terms)


def _memory_bound(evidence: Evidence, stage: StageEvidence) -> Advice | None:
    """R24: the stage waits for memory, near its peak."""
    now = standing(evidence, stage)
    if now is None or not now.is_memory_bound or now.bandwidth_share <= MEMORY_BOUND_SHARE:
        return None
    if now.roof.factor_max < GOOD_FACTOR:
        return None
    gain = speed_up(evidence, stage, 1.0, 1 / now.bandwidth_share)
    facts: Facts = {"bandwidth_share": now.bandwidth_share, "mfu": now.mfu}
    terms = Terms(
        Method.ROOFLINE, Confidence.LOW, kind=AdviceKind.NOTE, strength=now.bandwidth_share
    )
    return advise(evidence, RuleId.MEMORY_BOUND, stage, gain, facts, None, terms)


def _good_already(evidence: Evidence, stage: StageEvidence) -> Advice | None:
    """R25: little is left to gain in this stage."""
    now = standing(evidence, stage)
    if now is None or (now.mfu <= GOOD_MFU and now.roof.factor_max >= GOOD_FACTOR):
        return None
    facts: Facts = {"mfu": now.mfu, "factor_max": now.roof.factor_max}
    terms = Terms(Method.ROOFLINE, kind=AdviceKind.NOTE, strength=stage.share)
    return advise(evidence, RuleId.GOOD_ALREADY, stage, None, facts, None, terms)


RULES: Sequence[Rule] = tuple(
    per_stage(look)
    for look in (
        _full_precision,
        _slow_attention,
        _guidance_twice,
        _launch_bound,
        _host_sync,
        _memory_bound,
        _good_already,
    )
)
