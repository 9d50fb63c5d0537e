"""A linear axis: values to percent of its length, and round values to mark on it."""

from __future__ import annotations

import math
from dataclasses import dataclass

FULL_PCT = 100.0
STEPS = (1.0, 2.0, 5.0, 10.0)
ROUNDING = 1e-9


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    value: float
    at_pct: float


@dataclass(frozen=True)
class Scale:
    """An axis from ``low`` to ``high``, in any unit.

    Percentages keep a chart readable on a narrow screen: bars shrink with it, letters do not.
    """

    low: float
    high: float

    def percent(self, value: float) -> float:
        """Tell where a value lies; what is beyond the ends lies at the end.

        >>> Scale(0.0, 8.0).percent(2.0), Scale(0.0, 8.0).percent(9.0), Scale(3.0, 3.0).percent(3.0)
        (25.0, 100.0, 0.0)
        """
        if self.high <= self.low:
            return 0.0
        share = (value - self.low) / (self.high - self.low)
        return FULL_PCT * min(1.0, max(0.0, share))

    def ticks(self, most: int = 5) -> list[Tick]:
        """Mark round values that lie evenly, zero among them if it is on the axis.

        Parameters
        ----------
        most : int
            Ticks at most, at least 2.

        Returns
        -------
        list of Tick
            Ascending; empty for an axis without length.

        Examples
        --------
        >>> [tick.value for tick in Scale(-0.4, 3.1).ticks()]
        [0.0, 1.0, 2.0, 3.0]
        """
        if self.high <= self.low:
            return []
        step = _step((self.high - self.low) / most)
        first = math.ceil(self.low / step - ROUNDING)
        last = math.floor(self.high / step + ROUNDING)
        values = [n * step for n in range(first, last + 1)]
        return [Tick(value, self.percent(value)) for value in values]


def _step(least: float) -> float:
    """Round a step up to 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(s * power for s in STEPS if s * power >= least * (1 - ROUNDING))
