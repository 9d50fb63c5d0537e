"""The names of the rules."""

from __future__ import annotations

from enum import StrEnum


class RuleId(StrEnum):
    """Which rule gave a piece of advice; the values are part of the interface."""

    FULL_PRECISION = "full_precision"
    SLOW_ATTENTION = "slow_attention"
    STEPS = "steps"
    GUIDANCE_TWICE = "guidance_twice"
    DENSE_DECODE = "dense_decode"
    DECODE_RESOLUTION = "decode_resolution"
    COMPILE = "compile"
    RECOMPILES = "recompiles"
    LAUNCH_BOUND = "launch_bound"
    SMALL_BATCH = "small_batch"
    PAGEABLE_COPIES = "pageable_copies"
    MODEL_THRASH = "model_thrash"
    IDLE_TIMEOUT = "idle_timeout"
    COLD_START = "cold_start"
    CPU_IN_THE_WAY = "cpu_in_the_way"
    SLOW_ENCODING = "slow_encoding"
    THROTTLED = "throttled"
    SLOW_LINK = "slow_link"
    FRAGMENTED = "fragmented"
    CACHE_CLEARING = "cache_clearing"
    QUEUE_WAIT = "queue_wait"
    MEMORY_OF_OTHERS = "memory_of_others"
    HOST_SYNC = "host_sync"
    MEMORY_BOUND = "memory_bound"
    GOOD_ALREADY = "good_already"
