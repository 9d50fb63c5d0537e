from __future__ import annotations

import doctest
import math

import numpy as np
import pytest

from backend.errors import InvalidParameter
from backend.profiling import trial_interval as module
from backend.profiling.trial_interval import FEWEST_PAIRS, MOST_PAIRS, trial_interval

TRIALS = 4000
# Simulated 40 000 times: 2.0, 2.3 and 2.5 % lie above 1 at some look, and as many below. The
# share of 4000 trials has a standard error of 0.25 %.
ONE_SIDE_PCT, TOLERANCE_PCT = 2.5, 0.75


def test_the_examples_hold():
    result = doctest.testmod(module)
    assert (result.attempted, result.failed) == (2, 0)


def test_below_five_pairs_there_are_no_bounds():
    found = trial_interval([1.0, 2.0, 4.0, 2.0], [1.0] * 4)
    assert (found.low, found.high, found.n_before) == (None, None, 4)
    assert found.ratio == pytest.approx(2.0)


def test_from_five_pairs_they_are_the_range_and_a_tenth():
    found = trial_interval([1.2, 1.3, 1.4, 1.25, 1.5], [1.0] * 5)
    assert found.low == pytest.approx(1.2 / 1.1)
    assert found.high == pytest.approx(1.5 * 1.1)


def test_one_wild_pair_of_many_does_not_widen_it():
    calm = [1.2 + 0.01 * n for n in range(MOST_PAIRS)]
    wild = [20.0, *calm[1:]]
    assert trial_interval(wild, [1.0] * MOST_PAIRS).low > 1.2
    assert trial_interval(wild, [1.0] * MOST_PAIRS).high < 5.0


def test_faster_and_slower_mirror_each_other():
    rng = np.random.default_rng(2)
    for n in range(FEWEST_PAIRS, MOST_PAIRS + 1):
        old, new = rng.lognormal(0, 0.2, (2, n)).tolist()
        there, back = trial_interval(old, new), trial_interval(new, old)
        assert there.ratio == pytest.approx(1 / back.ratio)
        assert there.low == pytest.approx(1 / back.high)
        assert there.low <= there.ratio <= there.high


def looks(scatter, rng, wild_share=0.0):
    sigma = math.sqrt(math.log1p(scatter**2))
    times = rng.lognormal(0.0, sigma, (2, MOST_PAIRS))
    times *= np.where(rng.random((2, MOST_PAIRS)) < wild_share, 3.0, 1.0)
    old, new = times.tolist()
    return [trial_interval(old[:n], new[:n]) for n in range(FEWEST_PAIRS, MOST_PAIRS + 1)]


@pytest.mark.parametrize("wild_share", [0.0, 0.05])
@pytest.mark.parametrize("scatter", [0.03, 0.20])
def test_whenever_one_looks_it_holds_the_truth_in_95_of_100_trials(scatter, wild_share):
    rng = np.random.default_rng(5)
    above = below = 0
    for _ in range(TRIALS):
        found = looks(scatter, rng, wild_share)
        above += any(look.low > 1 for look in found)
        below += any(look.high < 1 for look in found)
    for misses in (above, below):
        assert 100 * misses / TRIALS <= ONE_SIDE_PCT + TOLERANCE_PCT


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([], []),
        ([1.0], [1.0, 2.0]),
        ([1.0] * 12, [1.0] * 12),
        ([0.0], [1.0]),
        ([1.0], [-1.0]),
        ([math.nan], [1.0]),
    ],
    ids=["none", "lengths", "too many", "zero", "negative", "nan"],
)
def test_what_is_no_trial_is_refused(old, new):
    with pytest.raises(InvalidParameter):
        trial_interval(old, new)
