"""How often each size occurred: one upright bar for every size, or for a range of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from backend.web.charts.bars import Bar, bars

MOST_SINGLE = 12


@dataclass(frozen=True)
class Bin:
    """The sizes from ``low`` to ``high``, both included, and the bar of their count."""

    low: int
    high: int
    count: int
    bar: Bar

    @property
    def label(self) -> str:
        """The size, or the range of sizes."""
        return str(self.low) if self.low == self.high else f"{self.low} to {self.high}"


def histogram(sizes: Iterable[int]) -> list[Bin]:
    """Count whole sizes from 1 on, without a gap, so that the axis stays true.

    Parameters
    ----------
    sizes : iterable of int
        At least 1 each.

    Returns
    -------
    list of Bin
        One for each size up to the largest; where that is above twelve, each bin is twice as
        wide as the one before. Empty without sizes.

    Examples
    --------
    >>> [(found.label, found.count) for found in histogram([1, 1, 3])]
    [('1', 2), ('2', 0), ('3', 1)]
    """
    known = list(sizes)
    ranges = _ranges(max(known, default=0))
    counts = [sum(low <= size <= high for size in known) for low, high in ranges]
    placed = bars([float(count) for count in counts])
    return [
        Bin(low, high, count, bar)
        for (low, high), count, bar in zip(ranges, counts, placed, strict=True)
    ]


def _ranges(largest: int) -> list[tuple[int, int]]:
    if largest <= MOST_SINGLE:
        return [(size, size) for size in range(1, largest + 1)]
    doubled = (1 << power for power in range(largest.bit_length()))
    return [(low, 2 * low - 1) for low in doubled]
