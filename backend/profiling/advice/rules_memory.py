"""Rules on memory: copies, resident models, the allocator and who else holds some."""

from __future__ import annotations

import math
from collections.abc import Sequence

from backend.profiling.advice.advice import Advice, AdviceKind, Facts, Method
from backend.profiling.advice.evidence import AllocatorFigures, Evidence
from backend.profiling.advice.rule import Rule, Terms, advise, change, removal
from backend.profiling.advice.rule_id import RuleId
from backend.units import MB

MUCH_COPIED_BYTES, SLOW_COPY = 200e6, 0.6
MANY_SWAPS = 0.5
COLD_JOBS = 0.2
MANY_PIECES, NEARLY_FULL = 0.2, 0.85
CLEARING_SHARE = 0.01
MUCH_BY_OTHERS_MB = 1000.0
NEVER_S = -1.0


def pageable_copies(evidence: Evidence) -> Advice | None:
    """R11: copies to the device run far below what page-locked memory reaches."""
    found = evidence.copies
    if found is None or found.pinned_bytes_per_s is None or found.free_host_bytes is None:
        return None
    slow = found.bytes_per_s < SLOW_COPY * found.pinned_bytes_per_s
    if found.bytes_per_job < MUCH_COPIED_BYTES or not slow or found.bytes_per_s <= 0:
        return None
    # Page-locked memory is gone for everything else.
    if found.free_host_bytes < found.bytes_per_job:
        return None
    saved_s = found.bytes_per_job * (1 / found.bytes_per_s - 1 / found.pinned_bytes_per_s)
    facts: Facts = {
        "mb_per_job": found.bytes_per_job / MB,
        "gb_per_s": found.bytes_per_s / 1e9,
        "pinned_gb_per_s": found.pinned_bytes_per_s / 1e9,
    }
    action = change(evidence, "pin_budget_mb", math.ceil(found.bytes_per_job / MB))
    gain = removal(evidence.job, saved_s, saved_s)
    return advise(evidence, RuleId.PAGEABLE_COPIES, None, gain, facts, action)


def model_thrash(evidence: Evidence) -> Advice | None:
    """R12: mixed jobs swap models back and forth."""
    found = evidence.residency
    if found is None or found.swaps_per_job is None or found.grouped_swaps_per_job is None:
        return None
    if found.swap_s is None or (found.models or 0) < 2 or found.swaps_per_job <= MANY_SWAPS:
        return None
    saved_s = (found.swaps_per_job - found.grouped_swaps_per_job) * found.swap_s
    facts: Facts = {
        "n": found.n,
        "swaps_per_job": found.swaps_per_job,
        "grouped_swaps_per_job": found.grouped_swaps_per_job,
        "swap_s": found.swap_s,
    }
    gain = removal(evidence.job, saved_s, saved_s)
    action = change(evidence, "scheduler", "group_by_model")
    terms = Terms(Method.QUEUEING)
    return advise(evidence, RuleId.MODEL_THRASH, None, gain, facts, action, terms)


def idle_timeout(evidence: Evidence) -> Advice | None:
    """R13: models leave although all fit, and jobs wait for them to come back.

    Where they do not all fit the seconds of one model have no price in memory: silent.
    """
    found = evidence.residency
    if found is None or not found.gaps_s or not found.all_fit:
        return None
    timeout_s, restore_s = found.idle_offload_s, found.restore_s
    if timeout_s is None or timeout_s < 0 or restore_s is None:
        return None
    late = sum(gap_s > timeout_s for gap_s in found.gaps_s) / len(found.gaps_s)
    facts: Facts = {
        "n": len(found.gaps_s),
        "late_share": late,
        "idle_offload_s": timeout_s,
        "restore_s": restore_s,
    }
    gain = removal(evidence.job, late * restore_s, late * restore_s)
    action = change(evidence, "idle_offload_s", NEVER_S)
    return advise(evidence, RuleId.IDLE_TIMEOUT, None, gain, facts, action)


def cold_start(evidence: Evidence) -> Advice | None:
    """R14: many jobs are mostly load and warm-up."""
    found = evidence.residency
    if found is None or found.cold_jobs is None or found.load_s is None:
        return None
    if found.cold_jobs < COLD_JOBS:
        return None
    saved_s = found.cold_jobs * found.load_s
    facts: Facts = {"n": found.n, "cold_jobs": found.cold_jobs, "load_s": found.load_s}
    gain = removal(evidence.job, saved_s, saved_s)
    action = change(evidence, "preload", True)
    return advise(evidence, RuleId.COLD_START, None, gain, facts, action)


def fragmented(evidence: Evidence) -> Advice | None:
    """R19: allocations fail, or memory lies in pieces while it is nearly full."""
    found = evidence.allocator
    if found is None:
        return None
    pieces = _pieces(found)
    failures = (found.alloc_retries or 0) + (found.out_of_memory or 0)
    at_risk = pieces is not None and pieces > MANY_PIECES and _is_nearly_full(found)
    if not failures and not at_risk:
        return None
    facts: Facts = {
        "n": found.n,
        "alloc_retries": found.alloc_retries,
        "out_of_memory": found.out_of_memory,
        "split_share": pieces,
    }
    retry_s = found.retry_s or 0.0
    terms = Terms(kind=AdviceKind.WARNING, strength=failures or pieces or 0.0)
    gain = removal(evidence.job, retry_s, retry_s)
    action = change(evidence, "expandable_segments", True)
    return advise(evidence, RuleId.FRAGMENTED, None, gain, facts, action, terms)


def cache_clearing(evidence: Evidence) -> Advice | None:
    """R20: the allocator's cache is emptied too often."""
    found, job = evidence.cache_clearing, evidence.job
    if found is None or job is None or found.clearing_s < CLEARING_SHARE * job.total_s:
        return None
    lost_s = found.clearing_s + found.refill_s
    gain = removal(job, lost_s, lost_s)
    facts: Facts = {"n": found.n, "clearing_s": lost_s}
    action = change(evidence, "cache_clearing", "before_model_switch")
    return advise(evidence, RuleId.CACHE_CLEARING, None, gain, facts, action)


def memory_of_others(evidence: Evidence) -> Advice | None:
    """R22: other programs hold memory of the device."""
    found = evidence.gpu
    if found is None or found.others_mb is None or found.others_mb <= MUCH_BY_OTHERS_MB:
        return None
    facts: Facts = {
        "n": found.busy_samples,
        "others_mb": found.others_mb,
        "total_mb": found.total_mb,
    }
    terms = Terms(kind=AdviceKind.NOTE, strength=found.others_mb)
    return advise(evidence, RuleId.MEMORY_OF_OTHERS, None, None, facts, None, terms)


def _pieces(found: AllocatorFigures) -> float | None:
    """Return the share of reserved memory that is free but split."""
    if found.inactive_split_bytes is None or not found.reserved_bytes:
        return None
    return found.inactive_split_bytes / found.reserved_bytes


def _is_nearly_full(found: AllocatorFigures) -> bool:
    if found.peak_bytes is None or not found.total_bytes:
        return False
    return found.peak_bytes > NEARLY_FULL * found.total_bytes


RULES: Sequence[Rule] = (
    pageable_copies,
    model_thrash,
    idle_timeout,
    cold_start,
    fragmented,
    cache_clearing,
    memory_of_others,
)
