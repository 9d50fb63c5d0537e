"""Rules on the device itself: what only a person at the machine can mend."""

from __future__ import annotations

from collections.abc import Sequence

from backend.profiling.advice.advice import Advice, AdviceKind, Confidence, ExpectedGain, Facts
from backend.profiling.advice.evidence import Evidence, GpuSamples
from backend.profiling.advice.rule import Rule, Terms, advise, removal
from backend.profiling.advice.rule_id import RuleId
from backend.profiling.gains import saving_s
from backend.profiling.spans import SpanKind

THROTTLED_SHARE = 0.1
REASONS = {
    "thermal": "it is too hot",
    "thermal_hardware": "it is too hot",
    "hardware_slowdown": "the hardware protects itself",
    "power_brake": "the power supply asks for it",
    "power_cap": "it is at its power limit",
}
# PCIe 1.0 to 6.0: 2.5 and 5 GT/s at 8b/10b, 8 to 32 GT/s at 128b/130b, 64 GT/s in flits.
LANE_GB_PER_S = {1: 0.25, 2: 0.5, 3: 0.985, 4: 1.969, 5: 3.938, 6: 7.563}


def throttled(evidence: Evidence) -> Advice | None:
    """R17: heat or power holds the clock down; said at once, whatever the number of runs."""
    found = evidence.gpu
    if found is None or found.busy_samples < 1:
        return None
    seen = {reason: share for reason, share in found.throttled.items() if reason in REASONS}
    reason = max(seen, key=lambda name: seen[name], default=None)
    if reason is None or seen[reason] < THROTTLED_SHARE:
        return None
    facts: Facts = {
        "n": found.busy_samples,
        "reason": REASONS[reason],
        "throttled_share": seen[reason],
        "clock_mhz": found.clock_mhz,
        "clock_max_mhz": found.clock_max_mhz,
    }
    terms = Terms(kind=AdviceKind.WARNING, strength=seen[reason])
    gain = _at_full_clock(evidence, found)
    return advise(evidence, RuleId.THROTTLED, None, gain, facts, None, terms)


def slow_link(evidence: Evidence) -> Advice | None:
    """R18: the link to the host runs below its best while the device is busy."""
    found, copies = evidence.gpu, evidence.copies
    if found is None or copies is None or copies.bytes_per_s <= 0:
        return None
    now = _link_gb_per_s(found.pcie_gen, found.pcie_width)
    best = _link_gb_per_s(found.pcie_gen_max, found.pcie_width_max)
    if now is None or best is None or now >= best:
        return None
    copying_s = copies.bytes_per_job / copies.bytes_per_s
    facts: Facts = {
        "pcie_gen": found.pcie_gen,
        "pcie_gen_max": found.pcie_gen_max,
        "pcie_width": found.pcie_width,
        "pcie_width_max": found.pcie_width_max,
    }
    # Copies faster only if the link is what holds them back: the rest is a bound.
    gain = removal(evidence.job, 0.0, copying_s * (1 - now / best))
    terms = Terms(confidence=Confidence.LOW)
    return advise(evidence, RuleId.SLOW_LINK, None, gain, facts, None, terms)


def _at_full_clock(evidence: Evidence, found: GpuSamples) -> ExpectedGain | None:
    job = evidence.job
    share = evidence.share_of(SpanKind.GPU)
    if job is None or job.total_s <= 0 or not share or not found.clock_mhz:
        return None
    if found.clock_max_mhz is None or found.clock_max_mhz <= found.clock_mhz:
        return None
    factor = found.clock_max_mhz / found.clock_mhz
    return ExpectedGain.of(saving_s(job.total_s, min(share, 1.0), factor, factor), job.total_s)


def _link_gb_per_s(generation: int | None, width: int | None) -> float | None:
    if generation is None or width is None or generation not in LANE_GB_PER_S:
        return None
    return LANE_GB_PER_S[generation] * width


RULES: Sequence[Rule] = (throttled, slow_link)
