"""The interval of a trial's speed-up, made to be looked at after every pair.

Looking often finds something by chance more often, so each look is stricter than 95 %; together
they miss the true ratio once in twenty trials.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from backend.errors import InvalidParameter
from backend.profiling.regression import INTERVAL_MIN_RUNS, RatioInterval
from backend.profiling.statistics import sorted_values

FEWEST_PAIRS = INTERVAL_MIN_RUNS
# 22 jobs; a person should not have to wait for more.
MOST_PAIRS = 11
# By the number of pairs: how many of the averages lie below the interval, and as many above.
_LEFT_OUT = {5: 0, 6: 0, 7: 0, 8: 0, 9: 1, 10: 3, 11: 6}
# All of five pairs point the same way by chance in one trial of 32, which is too often.
_MARGIN_OF_FEWEST = 1.1


def trial_interval(old: Sequence[float], new: Sequence[float]) -> RatioInterval:
    """Compare times pair by pair: above 1, the new value is faster.

    Parameters
    ----------
    old, new : sequence of float
        1 to 11 times above zero, in seconds; the entries at one index were measured close
        together.

    Returns
    -------
    RatioInterval
        Of old over new. Without bounds from fewer than five pairs; from exactly five they are
        wider by a tenth. Whatever the pair after which a trial ends, its bounds hold the true
        ratio in 95 % of trials (simulated, tests/profiling/test_trial_interval.py), if the
        scatter of both values has the same shape.

    Raises
    ------
    InvalidParameter
        There are no pairs or too many, the lengths differ, or a time is not above zero.

    Source
    ------
    Averages of two logarithms and their signed ranks: J. L. Hodges and E. L. Lehmann, Estimates
    of location based on rank tests (1963). Intervals that hold at every look: C. Jennison and
    B. W. Turnbull, Interim analyses: the repeated confidence interval approach (1989).

    Examples
    --------
    >>> found = trial_interval([12.0] * 6, [10.0] * 6)
    >>> round(found.ratio, 3), round(found.low, 3), round(found.high, 3)
    (1.2, 1.2, 1.2)
    """
    n = len(old)
    if len(new) != n or not 0 < n <= MOST_PAIRS:
        raise InvalidParameter(f"{n} and {len(new)} times make no trial.")
    if min(sorted_values(old)[0], sorted_values(new)[0]) <= 0:
        raise InvalidParameter("A job that takes no time has no ratio to another.")
    logs = [math.log(before / after) for before, after in zip(old, new, strict=True)]
    averages = sorted((logs[i] + logs[j]) / 2 for i in range(n) for j in range(i, n))
    ratio = math.exp(median(averages))
    if n < FEWEST_PAIRS:
        return RatioInterval(ratio, None, None, n, n)
    left_out = _LEFT_OUT[n]
    margin = _MARGIN_OF_FEWEST if n == FEWEST_PAIRS else 1.0
    low, high = math.exp(averages[left_out]), math.exp(averages[-1 - left_out])
    return RatioInterval(ratio, low / margin, high * margin, n, n)
