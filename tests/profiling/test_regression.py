from __future__ import annotations

import doctest
import statistics
import time

import numpy as np
import pytest

from backend.errors import InvalidParameter
from backend.profiling import bootstrap, regression
from backend.profiling.regression import (
    RatioInterval,
    Verdict,
    paired_interval,
    ratio_interval,
    verdict_of,
)

TRIALS = 300
NOISE = 0.03
MOST_FALSE_ALARMS, LEAST_POWER = 0.03, 0.8


def noisy_runs(rng, n, factor=1.0, noise=NOISE):
    """Log-normal times around 10 s times the factor."""
    return list(10 * factor * rng.lognormal(0, noise, n))


def by_interval(before, after):
    return verdict_of(ratio_interval(before, after)) is Verdict.SLOWER


def by_last_run(before, after):
    """The naive rule: the last run took more than 3 % longer than usual."""
    return after[-1] > 1.03 * statistics.median(before)


def alarm_rate(rule, factor, n=20, seed=11):
    rng = np.random.default_rng(seed)
    trials = ((noisy_runs(rng, n), noisy_runs(rng, n, factor)) for _ in range(TRIALS))
    return sum(rule(before, after) for before, after in trials) / TRIALS


def keeps_the_promise(rule):
    return alarm_rate(rule, 1.0) <= MOST_FALSE_ALARMS and alarm_rate(rule, 1.1) >= LEAST_POWER


def test_the_examples_hold():
    result = doctest.testmod(regression)
    assert result.attempted >= 3
    assert result.failed == 0


def test_ten_percent_are_found_and_nothing_is_not():
    assert keeps_the_promise(by_interval)


def test_the_naive_rule_fails_the_same_simulation():
    assert not keeps_the_promise(by_last_run)
    assert alarm_rate(by_last_run, 1.0) > 2 * MOST_FALSE_ALARMS


def test_a_gain_is_found_as_well():
    rng = np.random.default_rng(5)
    pairs = [(noisy_runs(rng, 20), noisy_runs(rng, 20, 1 / 1.1)) for _ in range(100)]
    found = [verdict_of(ratio_interval(*pair)) for pair in pairs]
    assert found.count(Verdict.FASTER) >= 80
    assert Verdict.SLOWER not in found


def test_the_interval_holds_the_true_ratio_about_as_often_as_it_says():
    rng = np.random.default_rng(6)
    held = 0
    for _ in range(TRIALS):
        found = ratio_interval(noisy_runs(rng, 20), noisy_runs(rng, 20, 1.2))
        held += found.low <= 1.2 <= found.high
    assert 0.90 <= held / TRIALS <= 0.995


def test_more_confidence_makes_a_wider_interval():
    rng = np.random.default_rng(7)
    before, after = noisy_runs(rng, 20), noisy_runs(rng, 20)
    narrow, wide = (ratio_interval(before, after, confidence) for confidence in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize("n", [5, 6, 20, 21])
def test_medians_are_drawn_as_if_samples_were(n):
    ordered = np.sort(np.random.default_rng(8).lognormal(0, 0.5, n))
    drawn = np.concatenate(
        [bootstrap.resampled_medians(ordered, np.random.default_rng(s)) for s in range(10)]
    )
    rng = np.random.default_rng(99)
    plain = np.median(rng.choice(ordered, (20_000, n)), axis=1)
    points = np.unique(plain)
    shares = [np.searchsorted(np.sort(x), points, side="right") / len(x) for x in (drawn, plain)]
    # Two samples of 20,000 from one distribution differ by more than this once in 10,000 times.
    assert np.abs(shares[0] - shares[1]).max() < 0.0223


def test_the_same_seed_gives_the_same_interval_in_any_order():
    rng = np.random.default_rng(9)
    before, after = noisy_runs(rng, 20), noisy_runs(rng, 20)
    found = ratio_interval(before, after, seed=4)
    assert found == ratio_interval(before[::-1], after[::-1], seed=4)
    assert found != ratio_interval(before, after, seed=5)


def test_the_ratio_is_that_of_the_medians():
    found = ratio_interval([1.0, 2.0, 100.0], [3.0, 4.0, 5.0])
    assert found == RatioInterval(2.0, None, None, 3, 3)


@pytest.mark.parametrize(("n_before", "n_after"), [(4, 40), (40, 4)])
def test_fewer_than_five_runs_have_no_interval(n_before, n_after):
    rng = np.random.default_rng(10)
    found = ratio_interval(noisy_runs(rng, n_before), noisy_runs(rng, n_after, 2.0))
    assert found.low is None
    assert found.high is None
    assert verdict_of(found) is Verdict.TOO_FEW


@pytest.mark.parametrize(
    ("low", "high", "n", "verdict"),
    [
        (1.031, 1.2, 10, Verdict.SLOWER),
        (1.03, 1.2, 10, Verdict.NO_DIFFERENCE),
        (1.031, 1.2, 9, Verdict.TOO_FEW),
        (0.8, 0.97, 10, Verdict.FASTER),
        (0.8, 0.98, 10, Verdict.NO_DIFFERENCE),
        (0.5, 2.0, 100, Verdict.NO_DIFFERENCE),
    ],
)
def test_only_an_interval_beyond_the_margin_decides(low, high, n, verdict):
    assert verdict_of(RatioInterval(1.0, low, high, n, n)) is verdict


def test_pairs_see_through_a_drift_that_groups_do_not():
    rng = np.random.default_rng(12)
    drift = np.linspace(1, 3, 12)
    before = list(drift * noisy_runs(rng, 12, noise=0.01))
    after = list(drift * noisy_runs(rng, 12, 1.1, noise=0.01))
    assert paired_interval(before, after).low > 1.05
    assert ratio_interval(before, after).low < 1.0


def test_five_pairs_span_their_extremes():
    found = paired_interval([1.0] * 5, [1.5, 1.1, 1.3, 1.4, 1.2])
    assert found == RatioInterval(1.3, 1.1, 1.5, 5, 5)
    assert paired_interval([1.0] * 4, [1.5] * 4) == RatioInterval(1.5, None, None, 4, 4)


@pytest.mark.parametrize(
    ("before", "after"),
    [([], [1.0]), ([1.0], []), ([0.0, 1.0], [1.0, 1.0]), ([1.0], [-1.0]), ([1.0], [float("nan")])],
)
@pytest.mark.parametrize("compare", [ratio_interval, paired_interval])
def test_what_has_no_ratio_is_refused(compare, before, after):
    with pytest.raises(InvalidParameter):
        compare(before, after)


def test_runs_without_a_partner_are_refused():
    with pytest.raises(InvalidParameter, match="2 and 1 runs make no pairs"):
        paired_interval([1.0, 2.0], [1.0])


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_what_is_no_confidence_is_refused(confidence):
    with pytest.raises(InvalidParameter):
        ratio_interval([1.0], [1.0], confidence)


def test_a_thousand_comparisons_take_less_than_a_minute_whatever_the_history():
    rng = np.random.default_rng(13)
    before, after = noisy_runs(rng, 5000), noisy_runs(rng, 5000)
    start_s = time.process_time()
    for seed in range(50):
        ratio_interval(before, after, seed=seed)
    assert (time.process_time() - start_s) * 1000 / 50 < 60
