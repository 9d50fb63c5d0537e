"""The stages of painting: how far each has come, and how long it took."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from backend.engines.stage_portions import StagePortions
from backend.profiling.recorder import profile_stage
from backend.profiling.spans import SpanKind
from backend.units import Clock

Tell = Callable[[float], None]
Count = Callable[[int, int], None]


class PaintStages:
    """Runs stages one after the other.

    Parameters
    ----------
    portions : StagePortions
        With the names of all stages.
    clock : Clock

    Attributes
    ----------
    seconds : dict of str to float
        What each stage took, loading of networks included.
    """

    def __init__(self, portions: StagePortions, clock: Clock) -> None:
        self.seconds: dict[str, float] = {}
        self._portions = portions
        self._clock = clock

    @contextmanager
    def stage(self, name: str, kind: SpanKind = SpanKind.CPU) -> Iterator[Tell]:
        """Run a stage; gives what is told the share done, which raises JobCanceled."""
        tell = partial(self._portions.tell, name)
        started_s = self._clock.monotonic_s()
        with profile_stage(name, kind):
            tell(0.0)
            yield tell
        self.seconds[name] = round(self._clock.monotonic_s() - started_s, 3)


def counted(tell: Tell, first: float = 0.0, last: float = 1.0) -> Count:
    """Return what is told (done, total) and tells the share of all that this makes.

    Parameters
    ----------
    first, last : float
        Shares at the beginning and the end of what is counted.
    """

    def told(done: int, total: int) -> None:
        tell(first + (last - first) * done / max(total, 1))

    return told
