"""The words of each rule; the figures in them are those of its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from backend.profiling.advice.rule_id import RuleId

CRITICAL = "🔴 CRITICAL: '{stage}' takes {percent:.1f}% - optimize this first"
MIXED_PRECISION = "→ Enable mixed precision (FP16) for faster inference"
UNDERUSED = "⚡ GPU underutilized - increase batch size"


@dataclass(frozen=True)
class Wording:
    """What a person reads; ``seed_text`` is the line of earlier versions, where there was one."""

    title: str
    detail: str
    seed_text: str | None = None


class _Unknown:
    """Reads ``unknown`` in whatever format a figure was wanted."""

    def __format__(self, _: str) -> str:
        return "unknown"


_UNKNOWN = _Unknown()

TEMPLATES: Mapping[RuleId, Wording] = {
    RuleId.FULL_PRECISION: Wording(
        "Compute '{stage}' in bf16",
        "Its matrix products run in {dtype}; up to {matmul_share:.0%} of it gets faster in bf16.",
        MIXED_PRECISION,
    ),
    RuleId.SLOW_ATTENTION: Wording(
        "Use {best_backend} attention in '{stage}'",
        "Attention takes {attention_share:.0%} of the stage; at its shapes {best_backend} is "
        "{factor:.2f} times as fast as {backend} on this device.",
    ),
    RuleId.STEPS: Wording(
        "Try {fewer_steps} instead of {steps} steps in '{stage}'",
        "The time of the loop goes with its steps. The result changes: compare before you keep it.",
    ),
    RuleId.GUIDANCE_TWICE: Wording(
        "Run guidance of '{stage}' as one batch of two",
        "Each step runs two forwards at {mfu:.0%} of the device's peak; together they take "
        "{double_s:.4f} s instead of twice {single_s:.4f} s.",
    ),
    RuleId.DENSE_DECODE: Wording(
        "Decode '{stage}' from coarse to fine",
        "All {queries} points of the grid are asked for; {hierarchical_queries} near the surface "
        "suffice. {outcome}",
    ),
    RuleId.DECODE_RESOLUTION: Wording(
        "Try resolution {lower_resolution} instead of {resolution} in '{stage}'",
        "The time grows with the resolution to the power of {exponent:.2f}. "
        "The result gets coarser: compare before you keep it.",
    ),
    RuleId.COMPILE: Wording(
        "Compile the model of '{stage}'",
        "It pays back after {break_even_jobs:.0f} jobs; about {jobs_per_day:.0f} run per day.",
    ),
    RuleId.RECOMPILES: Wording(
        "Compile '{stage}' for changing shapes",
        "It breaks into pieces {graph_breaks} times and is compiled again "
        "{recompiles_per_job:.2f} times per job.",
    ),
    RuleId.LAUNCH_BOUND: Wording(
        "Record the kernels of '{stage}' as a CUDA graph",
        "The device waits {host_wait_s:.2f} s for the host and {kernel_wait_s:.2f} s between "
        "kernels; that is the most it can save.",
    ),
    RuleId.SMALL_BATCH: Wording(
        "Run batches of {larger_size} instead of {size}",
        "{waiting:.0f} jobs wait. A batch then takes {extra_latency_s:.2f} s longer, but "
        "throughput grows to {throughput:.2f} times.",
        UNDERUSED,
    ),
    RuleId.PAGEABLE_COPIES: Wording(
        "Keep weights in page-locked memory",
        "{mb_per_job:.0f} MB per job are copied at {gb_per_s:.1f} GB/s; page-locked memory "
        "reaches {pinned_gb_per_s:.1f} GB/s here.",
    ),
    RuleId.MODEL_THRASH: Wording(
        "Run jobs of the same model in a row",
        "Models are swapped {swaps_per_job:.2f} times per job, at {swap_s:.1f} s each; grouped it "
        "would be {grouped_swaps_per_job:.2f} times.",
    ),
    RuleId.IDLE_TIMEOUT: Wording(
        "Keep idle models on the GPU",
        "All of them fit, yet {late_share:.0%} of the jobs come after {idle_offload_s:.0f} s idle "
        "and wait {restore_s:.1f} s for theirs.",
    ),
    RuleId.COLD_START: Wording(
        "Load the model when the worker starts",
        "In {cold_jobs:.0%} of the jobs load and warm-up take a quarter of the time or more, "
        "{load_s:.1f} s each.",
    ),
    RuleId.CPU_IN_THE_WAY: Wording(
        "Work on the next job's CPU stages while the GPU is busy",
        "The GPU idles through {cpu_s:.1f} s of CPU stages per job while {waiting:.1f} jobs wait.",
    ),
    RuleId.SLOW_ENCODING: Wording(
        "Compress less in '{stage}': {setting} {faster_level} instead of {level}",
        "To compress the files of a job takes {now_s:.3f} s at {level} and {faster_s:.3f} s at "
        "{faster_level}. Their size changes by {growth:+.0%}, what is in them stays the same.",
    ),
    RuleId.THROTTLED: Wording(
        "The GPU slows itself down: {reason}",
        "In {throttled_share:.0%} of the busy samples its clock was held down. Look at airflow, "
        "dust and the power limit.",
    ),
    RuleId.SLOW_LINK: Wording(
        "The GPU's link runs below its best",
        "PCIe generation {pcie_gen} of {pcie_gen_max} with {pcie_width} of {pcie_width_max} lanes "
        "under load. Look at the slot, the riser and the BIOS.",
    ),
    RuleId.FRAGMENTED: Wording(
        "GPU memory is fragmented or short",
        "Allocations tried again: {alloc_retries}; failed: {out_of_memory}; share of the reserved "
        "memory that lies in pieces: {split_share:.0%}.",
    ),
    RuleId.CACHE_CLEARING: Wording(
        "Empty the allocator's cache less often",
        "Emptying and refilling it takes {clearing_s:.2f} s per job.",
    ),
    RuleId.QUEUE_WAIT: Wording(
        "Jobs wait longer than they run",
        "They wait {wait_s:.1f} s and run {run_s:.1f} s. Meanwhile the worker is busy "
        "{gpu_busy:.0%} of the time: {cause}.",
    ),
    RuleId.MEMORY_OF_OTHERS: Wording(
        "Other programs hold {others_mb:.0f} MB of GPU memory",
        "Close them to keep more models on the GPU or to run larger batches.",
    ),
    RuleId.HOST_SYNC: Wording(
        "'{stage}' waits for the GPU in every step",
        "{syncs_per_step:.1f} times per step (place: {location}); after that the GPU idles, "
        "{wait_s:.2f} s per job.",
    ),
    RuleId.MEMORY_BOUND: Wording(
        "'{stage}' is bound by memory",
        "It moves data at {bandwidth_share:.0%} of the peak. Smaller types or fused kernels help, "
        "more arithmetic does not.",
    ),
    RuleId.GOOD_ALREADY: Wording(
        "'{stage}' is close to what the GPU can do",
        "It reaches {mfu:.0%} of the peak and could be {factor_max:.2f} times as fast at the very "
        "most. Tune something else.",
    ),
}


def wording(rule: RuleId, values: Mapping[str, object]) -> Wording:
    """Fill in a rule's words.

    Parameters
    ----------
    values : mapping
        Every figure that the words name.
    """
    template = TEMPLATES[rule]
    words = {name: _UNKNOWN if value is None else value for name, value in values.items()}
    title = template.title.format_map(words)
    return Wording(title, template.detail.format_map(words), template.seed_text)


def critical_line(stage: str, percent: float) -> str:
    """Say that a stage takes much of the time, as earlier versions did.

    >>> critical_line("shape_generation", 52.63)
    "🔴 CRITICAL: 'shape_generation' takes 52.6% - optimize this first"
    """
    return CRITICAL.format(stage=stage, percent=percent)
