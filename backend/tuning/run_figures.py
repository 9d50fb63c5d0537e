"""What one run took and what came out, as far as auto-tune looks at it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    """

    elapsed_s: float
    vram_peak_mb: float | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    gauges: Mapping[str, Gauge] = field(default_factory=dict)
    is_warm_up: bool = False


Measure = Callable[[Values], RunFigures]
