"""What one run took and what came out, as far as auto-tune looks at it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from backend.tuning.search_space import Values


@dataclass(frozen=True)
class Gauge:
    """A measured property of a result, and how far rounding may move it.

    Parameters
    ----------
    value : float
        In any unit.
    tolerance : float
        In the same unit; a difference of so much is still the same result.
    """

    value: float
    tolerance: float

    def allows(self, value: float) -> bool:
        """Whether rounding explains another value.

        >>> Gauge(100.0, 1.0).allows(101.0), Gauge(100.0, 1.0).allows(102.0)
        (True, False)
        """
        return abs(value - self.value) <= self.tolerance


@dataclass(frozen=True)
class RunFigures:
    """One run.

    Parameters
    ----------
    elapsed_s : float
        Wall time of the run, without any wait for its turn.
    vram_peak_mb : float or None
        Most memory on the GPU, in MB; None if it was not measured.
    outputs : mapping of str to str
        What settings must not change, by name: counts, and whatever else is exact.
    files : mapping of str to str
        Digests of files, by name.
    gauges : mapping of str to Gauge
        What settings that change the rounding must keep, by name; counts may be among them.
    is_warm_up : bool
        Whether something was made ready in it that later runs find ready, such as compiled code.
    jobs : tuple of RunFigures
        Each job of a run of several, whose ``elapsed_s`` is that of all; () for a single job.
    """

    elapsed_s: float
    vram_peak_mb: float | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    gauges: Mapping[str, Gauge] = field(default_factory=dict)
    is_warm_up: bool = False
    jobs: tuple[RunFigures, ...] = ()

    @property
    def each(self) -> tuple[RunFigures, ...]:
        """The figures of each job: of the run itself where it was a single one."""
        return self.jobs or (self,)

    @property
    def longest_job_s(self) -> float:
        """Most time that a job took from its own start to its end, in seconds."""
        return max(one.elapsed_s for one in self.each)

    @classmethod
    def of_jobs(cls, elapsed_s: float, jobs: Sequence[RunFigures]) -> RunFigures:
        """Sum up jobs that were all there at the beginning.

        Parameters
        ----------
        elapsed_s : float
            Wall time until the last of them had ended.
        jobs : sequence of RunFigures
            At least one.
        """
        peaks_mb = [one.vram_peak_mb for one in jobs if one.vram_peak_mb is not None]
        return cls(
            elapsed_s,
            max(peaks_mb, default=None),
            is_warm_up=any(one.is_warm_up for one in jobs),
            jobs=tuple(jobs),
        )


# Runs as many jobs of the same kind as are asked for, all of which wait at the beginning.
Measure = Callable[[Values, int], RunFigures]
