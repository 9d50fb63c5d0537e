"""What is known of one stage; what was not measured is None, and then its rules are silent.

Times are medians per job unless they say otherwise; shares lie between 0 and 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from backend.profiling.experiment import Value
from backend.profiling.spans import SpanKind


@dataclass(frozen=True)
class MatmulFigures:
    """Matrix products of a stage.

    Parameters
    ----------
    dtype : str
        What the largest of them compute in: ``fp32``, ``tf32``, ``fp16``, ``bf16``.
    share : float
        Of the stage's time what a smaller type makes faster, at most.
    bf16_factor : float or None
        How much faster they were in bf16 at the same shapes on this device, if that was timed.
    """

    dtype: str
    share: float
    bf16_factor: float | None = None


@dataclass(frozen=True)
class WorkFigures:
    """What a stage has to compute and to move, and how long the device took for it.

    Parameters
    ----------
    dtype : str or None
        What it computes in; None if that is only known of its products.
    """

    gpu_s: float
    flop: float
    moved_bytes: float
    dtype: str | None = None


@dataclass(frozen=True)
class LaunchFigures:
    """How long the device waited inside a stage: for the host, and between kernels."""

    host_wait_s: float
    kernel_wait_s: float
    median_kernel_us: float | None = None


@dataclass(frozen=True)
class SyncFigures:
    """How often a step waits for the device, and how long the device idles after it."""

    syncs_per_step: float
    wait_s: float
    location: str | None = None


@dataclass(frozen=True)
class AttentionFigures:
    """The backend in use beside the fastest right one, timed at the stage's shapes."""

    backend: str
    best_backend: str
    share: float
    now_s: float
    best_s: float


@dataclass(frozen=True)
class StepFigures:
    """Steps of a loop, and the next lower count worth a try."""

    steps: int
    fewer_steps: int


@dataclass(frozen=True)
class GuidanceFigures:
    """Guidance of a diffusion loop: one forward at batch 1 and one at batch 2, in seconds.

    Parameters
    ----------
    share : float
        The forwards' share of the stage's time.
    """

    forwards_per_step: int
    single_s: float
    double_s: float
    mfu: float
    fits: bool | None
    share: float = 1.0


@dataclass(frozen=True)
class DecodeFigures:
    """How a volume is decoded.

    Parameters
    ----------
    resolution : int
        Cells along a side.
    queries : int
        Points asked for.
    hierarchical_queries : int or None
        Points that a coarse-to-fine decode of the same shapes asked for.
    lower_resolution : int or None
        The next lower one worth a try.
    exponent : float or None
        Fitted: the time grows with the resolution to this power.
    same_surface : bool or None
        Whether a coarse-to-fine decode would have found the surface of each of these shapes; None
        if that was not looked at.
    bookkeeping_s : float or None
        Seconds that coarse to fine takes beside asking, as measured on these shapes.
    """

    resolution: int
    queries: int
    hierarchical_queries: int | None = None
    lower_resolution: int | None = None
    exponent: float | None = None
    same_surface: bool | None = None
    bookkeeping_s: float | None = None

    @property
    def is_dense(self) -> bool:
        """Whether every corner of the grid is asked for; only such a decode can be compared."""
        return self.same_surface is not None or self.queries == (self.resolution + 1) ** 3


@dataclass(frozen=True)
class EncodeFigures:
    """The level in force of a writer beside the fastest, timed on the same data.

    Parameters
    ----------
    now_s, faster_s : float
        Seconds per job spent to encode at either level.
    saved_low_s, saved_high_s : float or None
        The least and the most that a round of the measurement found between them.
    now_bytes, faster_bytes : int or None
        Size of what came out.
    is_alone : bool
        Whether nothing else is written meanwhile, so that every second counts.
    """

    setting: str
    level: Value
    faster_level: Value
    now_s: float
    faster_s: float
    saved_low_s: float | None = None
    saved_high_s: float | None = None
    now_bytes: int | None = None
    faster_bytes: int | None = None
    is_alone: bool = True


@dataclass(frozen=True)
class CompileFigures:
    """A compiled stage beside an eager one.

    Parameters
    ----------
    is_on : bool
        Whether it runs compiled.
    eager_s, compiled_s : float or None
        Seconds per job either way.
    compile_s : float or None
        Seconds to compile, once per start.
    jobs_per_day : float or None
        Jobs between two starts, about.
    graph_breaks : int or None
        In the compiled stage.
    recompiles_per_job, recompile_s : float or None
        After the warm-up.
    skipped_s : float
        What the frames that fell back to eager lose per job.
    """

    is_on: bool
    eager_s: float | None = None
    compiled_s: float | None = None
    compile_s: float | None = None
    jobs_per_day: float | None = None
    graph_breaks: int | None = None
    recompiles_per_job: float | None = None
    recompile_s: float | None = None
    skipped_s: float = 0.0


@dataclass(frozen=True)
class StageEvidence:
    """One stage of the pipeline, over ``n`` runs that had it.

    Parameters
    ----------
    name : str
        That of a stage inside others is its path, as in ``shape_generation/denoise``.
    share : float
        Of the critical path: the part of the job's time that this stage alone holds up.
    parent : str or None
        The stage around it, of which its share is a part; None for a stage of the job itself.
    """

    name: str
    kind: SpanKind
    share: float
    n: int
    matmul: MatmulFigures | None = None
    work: WorkFigures | None = None
    launch: LaunchFigures | None = None
    sync: SyncFigures | None = None
    attention: AttentionFigures | None = None
    steps: StepFigures | None = None
    guidance: GuidanceFigures | None = None
    decode: DecodeFigures | None = None
    encode: EncodeFigures | None = None
    compiled: CompileFigures | None = None
    parent: str | None = None
