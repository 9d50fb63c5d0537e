"""Rules on how jobs follow one another: batches, overlap, files and the queue."""

from __future__ import annotations

import math
from collections.abc import Sequence

from backend.profiling.advice.advice import (
    Advice,
    AdviceKind,
    Confidence,
    ExpectedGain,
    Facts,
    Method,
)
from backend.profiling.advice.evidence import BatchFigures, Evidence, JobTimes, QueueFigures
from backend.profiling.advice.rule import Rule, Terms, advise, change, per_stage, removal
from backend.profiling.advice.rule_id import RuleId
from backend.profiling.advice.stage_evidence import EncodeFigures, StageEvidence
from backend.profiling.gains import saving_s
from backend.profiling.spans import SpanKind

CPU_SHARE = 0.15
IO_SHARE = 0.10
WAIT_SHARE = 0.5
BUSY = 0.9


def small_batch(evidence: Evidence) -> Advice | None:
    """R10: enough jobs wait for a larger batch that fits."""
    found, queue = evidence.batch, evidence.queue
    if found is None or queue is None or queue.waiting is None or not found.fits:
        return None
    if not 0 < found.size < found.larger_size <= queue.waiting:
        return None
    saved_s = _seconds_per_item_saved(found)
    gain = removal(evidence.job, saved_s, saved_s)
    facts: Facts = {
        "n": found.n,
        "size": found.size,
        "larger_size": found.larger_size,
        "waiting": queue.waiting,
        "extra_latency_s": found.larger_batch_s - found.batch_s,
        "throughput": found.larger_size * found.batch_s / (found.size * found.larger_batch_s),
    }
    action = change(evidence, "max_batch", found.larger_size)
    terms = Terms(Method.QUEUEING)
    return advise(evidence, RuleId.SMALL_BATCH, None, gain, facts, action, terms)


def cpu_in_the_way(evidence: Evidence) -> Advice | None:
    """R15: CPU stages hold up the device while jobs wait.

    In a steady state a pipeline takes the longer of both parts per job instead of their sum.
    """
    job, queue = evidence.job, evidence.queue
    if job is None or queue is None or queue.waiting is None or queue.waiting < 1:
        return None
    cpu = evidence.share_of(SpanKind.CPU)
    gpu = evidence.share_of(SpanKind.GPU)
    if gpu <= 0 or cpu < CPU_SHARE:
        return None
    saved_s = min(cpu, gpu) * job.total_s
    facts: Facts = {
        "cpu_s": cpu * job.total_s,
        "gpu_s": gpu * job.total_s,
        "waiting": queue.waiting,
    }
    gain = removal(job, saved_s, saved_s)
    action = change(evidence, "pipelined_workers", True)
    terms = Terms(Method.QUEUEING)
    return advise(evidence, RuleId.CPU_IN_THE_WAY, None, gain, facts, action, terms)


def _slow_encoding(evidence: Evidence, stage: StageEvidence) -> Advice | None:
    """R16: a writer takes longer than it has to.

    What is saved is the difference that was timed, wherever in the stage the writer works.
    """
    found = stage.encode
    if found is None or stage.share < IO_SHARE or not 0 < found.faster_s < found.now_s:
        return None
    facts: Facts = {
        "setting": found.setting,
        "level": found.level,
        "faster_level": found.faster_level,
        "now_s": found.now_s,
        "faster_s": found.faster_s,
        "now_bytes": found.now_bytes,
        "faster_bytes": found.faster_bytes,
        "growth": _growth(found),
    }
    gain = _encoding_saved(evidence.job, found)
    action = change(evidence, found.setting, found.faster_level)
    return advise(evidence, RuleId.SLOW_ENCODING, stage, gain, facts, action)


def queue_wait(evidence: Evidence) -> Advice | None:
    """R21: jobs wait longer than they run; whether the device is the reason decides what to do."""
    job, queue = evidence.job, evidence.queue
    if job is None or queue is None or queue.gpu_busy is None or queue.wait_s <= 0:
        return None
    if queue.wait_s / (queue.wait_s + job.total_s) <= WAIT_SHARE:
        return None
    facts: dict[str, str | float | None] = {
        "n": queue.n,
        "wait_s": queue.wait_s,
        "run_s": job.total_s,
        "gpu_busy": queue.gpu_busy,
        "waiting_by_littles_law": _waiting_by_littles_law(queue),
    }
    if queue.gpu_busy > BUSY:
        facts["cause"] = "it has no time to spare, only faster jobs or larger batches help"
        terms = Terms(Method.QUEUEING, kind=AdviceKind.NOTE, strength=queue.wait_s)
        return advise(evidence, RuleId.QUEUE_WAIT, None, None, facts, None, terms)
    facts["cause"] = "it has time to spare, so the workers hold them up"
    whole = JobTimes(queue.wait_s + job.total_s, job.n)
    gain = removal(whole, 0.0, queue.wait_s)
    terms = Terms(Method.QUEUEING, Confidence.LOW)
    action = change(evidence, "prefetch", 2)
    return advise(evidence, RuleId.QUEUE_WAIT, None, gain, facts, action, terms)


def _encoding_saved(job: JobTimes | None, found: EncodeFigures) -> ExpectedGain | None:
    """Relate the seconds between two levels to the job."""
    if job is None or job.total_s <= 0:
        return None
    saved_s = found.now_s - found.faster_s
    low_s = saved_s if found.saved_low_s is None else found.saved_low_s
    high_s = saved_s if found.saved_high_s is None else found.saved_high_s
    if not found.is_alone:  # it may end no sooner than the writers beside it
        low_s = 0.0
    share = min(1.0, found.now_s / job.total_s)
    factors = (_factor(found.now_s, part_s) for part_s in (low_s, high_s))
    return ExpectedGain.of(saving_s(job.total_s, share, *factors), job.total_s)


def _factor(now_s: float, saved_s: float) -> float:
    """Return how much faster a part gets that saves so much of itself."""
    left_s = now_s - max(0.0, saved_s)
    return now_s / left_s if left_s > 0 else math.inf


def _growth(found: EncodeFigures) -> float | None:
    """Return by which share the files grow; negative where they shrink."""
    if not found.now_bytes or found.faster_bytes is None:
        return None
    return found.faster_bytes / found.now_bytes - 1


def _seconds_per_item_saved(found: BatchFigures) -> float:
    return found.batch_s / found.size - found.larger_batch_s / found.larger_size


def _waiting_by_littles_law(queue: QueueFigures) -> float | None:
    """Return the jobs that wait on average: arrivals times wait (J. D. C. Little, 1961)."""
    return None if queue.arrivals_per_s is None else queue.arrivals_per_s * queue.wait_s


RULES: Sequence[Rule] = (small_batch, cpu_in_the_way, per_stage(_slow_encoding), queue_wait)
