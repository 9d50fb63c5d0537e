"""What a list of measured times supports, and nothing it does not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from backend.errors import InvalidParameter

DOUBT = 0.05


@dataclass(frozen=True)
class Summary:
    """Percentiles of measured values, in the unit of the values.

    A percentile is None where there are too few values to speak of it.
    """

    n: int
    p50: float
    p90: float | None
    p95: float | None
    p99: float | None
    max: float
    mean: float


def summarise(values: Iterable[float]) -> Summary:
    """Describe measured values, whatever their order.

    Parameters
    ----------
    values : iterable of float
        At least one finite value, such as seconds.

    Returns
    -------
    Summary
        With p90, p95 and p99 from 29, 59 and 299 values on.

    Raises
    ------
    InvalidParameter
        There is no value, or one is not finite.

    Examples
    --------
    >>> summarise([3.0, 1.0, 2.0])
    Summary(n=3, p50=2.0, p90=None, p95=None, p99=None, max=3.0, mean=2.0)
    >>> summarise(range(30)).p90
    26.1
    """
    ordered = sorted_values(values)
    return Summary(
        n=len(ordered),
        p50=quantile(ordered, 0.5),
        p90=_supported(ordered, 0.90),
        p95=_supported(ordered, 0.95),
        p99=_supported(ordered, 0.99),
        max=ordered[-1],
        mean=math.fsum(ordered) / len(ordered),
    )


def values_needed(p: float) -> int:
    """Count the values from which the ``p`` quantile may be named.

    Parameters
    ----------
    p : float
        A quantile between 0 and 1, both excluded.

    Returns
    -------
    int
        The least n whose largest value is above the quantile with 95 % confidence.

    Source
    ------
    All n values lie below the quantile with probability p**n; that is at most 0.05 from
    n = ln 0.05 / ln p on (the non-parametric tolerance limit of S. S. Wilks, 1941).

    Examples
    --------
    >>> values_needed(0.90), values_needed(0.95), values_needed(0.99)
    (29, 59, 299)
    """
    if not 0 < p < 1:
        raise InvalidParameter(f"A quantile lies between 0 and 1, not at {p}.")
    return math.ceil(math.log(DOUBT) / math.log(p))


def quantile(ordered: Sequence[float], p: float) -> float:
    """Read a quantile off ascending values, between two of them where it falls between.

    Parameters
    ----------
    ordered : sequence of float
        At least one value, ascending.
    p : float
        The quantile, 0 to 1.

    Returns
    -------
    float
        In the unit of the values.

    Source
    ------
    R. J. Hyndman and Y. Fan, Sample quantiles in statistical packages (1996), definition 7.

    Examples
    --------
    >>> quantile([1.0, 2.0, 4.0, 8.0], 0.5)
    3.0
    """
    position = p * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def sorted_values(values: Iterable[float]) -> list[float]:
    """Sort values and refuse what cannot be a measurement.

    Raises
    ------
    InvalidParameter
        There is no value, or one is not finite.
    """
    ordered = sorted(float(value) for value in values)
    if not ordered:
        raise InvalidParameter("There are no values to describe.")
    if not all(map(math.isfinite, ordered)):
        raise InvalidParameter("A measured value is not finite.")
    return ordered


def _supported(ordered: Sequence[float], p: float) -> float | None:
    return quantile(ordered, p) if len(ordered) >= values_needed(p) else None
