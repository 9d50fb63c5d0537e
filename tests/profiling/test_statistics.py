from __future__ import annotations

import doctest
import math
import random

import numpy as np
import pytest

from backend.errors import InvalidParameter
from backend.profiling import statistics
from backend.profiling.statistics import Summary, quantile, summarise, values_needed


def test_the_examples_hold():
    result = doctest.testmod(statistics)
    assert result.attempted >= 4
    assert result.failed == 0


@pytest.mark.parametrize(
    ("name", "needed"), [("p90", 29), ("p95", 59), ("p99", 299)], ids=["p90", "p95", "p99"]
)
def test_a_percentile_is_named_only_from_enough_values_on(name, needed):
    values = [float(value) for value in range(needed)]
    assert getattr(summarise(values[:-1]), name) is None
    assert getattr(summarise(values), name) is not None


@pytest.mark.parametrize("p", [0.5, 0.9, 0.95, 0.99])
def test_the_count_is_the_least_whose_maximum_bounds_the_quantile(p):
    n = values_needed(p)
    assert p**n <= 0.05 < p ** (n - 1)


@pytest.mark.parametrize("p", [0.0, 1.0, -0.1, math.nan])
def test_what_is_no_quantile_is_refused(p):
    with pytest.raises(InvalidParameter):
        values_needed(p)


def test_one_value_is_described_without_percentiles():
    assert summarise([2.5]) == Summary(1, 2.5, None, None, None, 2.5, 2.5)


def test_the_order_changes_no_digit():
    values = list(np.random.default_rng(1).lognormal(0, 1, 301))
    shuffled = random.Random(2).sample(values, len(values))
    assert shuffled != values
    assert summarise(shuffled) == summarise(values)


def test_it_agrees_with_numpy():
    values = np.random.default_rng(3).lognormal(0, 1, 300)
    found = summarise(values)
    expected = [np.quantile(values, p) for p in (0.5, 0.9, 0.95, 0.99)]
    assert [found.p50, found.p90, found.p95, found.p99] == pytest.approx(expected)
    assert found.mean == pytest.approx(values.mean())
    assert found.max == values.max()
    assert found.n == 300


def test_the_extreme_quantiles_are_the_extremes():
    assert quantile([1.0, 5.0, 9.0], 0.0) == 1.0
    assert quantile([1.0, 5.0, 9.0], 1.0) == 9.0


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]], ids=["none", "nan", "inf"])
def test_what_was_not_measured_is_refused(values):
    with pytest.raises(InvalidParameter):
        summarise(values)
