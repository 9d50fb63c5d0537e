from __future__ import annotations

import doctest
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import InvalidParameter
from backend.profiling import gains
from backend.profiling.gains import (
    Bound,
    Gain,
    Lever,
    Roofline,
    Span,
    combined_saving_s,
    critical_shares,
    roofline,
    saving_s,
)

seconds = st.floats(0, 1e5)
shares = st.floats(0, 1)
factors = st.floats(1, 1e4)


def test_the_examples_hold():
    result = doctest.testmod(gains)
    assert result.attempted >= 5
    assert result.failed == 0


@given(seconds, shares, factors, factors)
def test_a_saving_stays_below_its_ceiling(total_s, share, one, other):
    gain = saving_s(total_s, share, min(one, other), max(one, other))
    assert 0 <= gain.low_s <= gain.high_s <= gain.ceiling_s <= total_s


@given(st.floats(0.1, 1e5), shares, factors)
def test_the_saving_is_what_the_shorter_part_leaves(total_s, share, factor):
    shorter_s = total_s * (1 - share) + total_s * share / factor
    gain = saving_s(total_s, share, factor, factor)
    assert total_s - gain.low_s == pytest.approx(shorter_s)


def test_without_end_the_part_is_gone():
    assert saving_s(100.0, 0.24, 1.0, math.inf) == Gain(0.0, 24.0, 24.0)


def test_a_slower_part_costs():
    assert saving_s(100.0, 0.5, 0.5, 2.0) == Gain(-50.0, 25.0, 50.0)


@pytest.mark.parametrize(
    ("total_s", "share", "low", "high"),
    [
        (-1.0, 0.5, 1.0, 2.0),
        (math.nan, 0.5, 1.0, 2.0),
        (1.0, 1.1, 1.0, 2.0),
        (1.0, -0.1, 1.0, 2.0),
        (1.0, 0.5, 2.0, 1.0),
        (1.0, 0.5, 0.0, 1.0),
        (1.0, 0.5, math.nan, 1.0),
    ],
)
def test_figures_out_of_range_are_refused(total_s, share, low, high):
    with pytest.raises(InvalidParameter):
        saving_s(total_s, share, low, high)


def test_stages_apart_are_saved_one_after_the_other():
    first = saving_s(100.0, 0.5, 2.0, 2.0)
    rest_s = 100.0 - first.low_s
    second = saving_s(rest_s, 100.0 * 0.3 / rest_s, 3.0, 3.0)
    both = combined_saving_s(
        100.0, [Lever("a", "precision", 0.5, 2.0, 2.0), Lever("b", "grid", 0.3, 3.0, 3.0)]
    )
    assert both.low_s == pytest.approx(first.low_s + second.low_s) == pytest.approx(45.0)
    assert both.ceiling_s == pytest.approx(80.0)


def test_two_mechanisms_multiply_on_one_stage():
    levers = [Lever("a", "precision", 0.5, 1.5, 2.0), Lever("a", "fewer steps", 0.5, 2.0, 2.0)]
    assert combined_saving_s(100.0, levers) == saving_s(100.0, 0.5, 3.0, 4.0)


def test_one_mechanism_counts_once():
    levers = [Lever("a", "precision", 0.5, 1.5, 1.8), Lever("a", "precision", 0.5, 1.2, 2.0)]
    assert combined_saving_s(100.0, levers) == saving_s(100.0, 0.5, 1.5, 2.0)


def test_no_lever_saves_nothing():
    assert combined_saving_s(100.0, []) == Gain(0.0, 0.0, 0.0)


@given(st.floats(0.1, 1e4), st.lists(factors, min_size=1, max_size=8))
def test_levers_together_save_less_than_the_whole(total_s, found):
    levers = [
        Lever(f"stage {i % 4}", f"mechanism {i}", 0.25, factor, factor)
        for i, factor in enumerate(found)
    ]
    assert 0 <= combined_saving_s(total_s, levers).high_s <= total_s * (1 + 1e-9)


@pytest.mark.parametrize(
    "levers",
    [
        [Lever("a", "x", 0.5, 2.0, 2.0), Lever("a", "y", 0.4, 2.0, 2.0)],
        [Lever("a", "x", 0.6, 2.0, 2.0), Lever("b", "x", 0.6, 2.0, 2.0)],
        [Lever("a", "x", 0.5, 3.0, 2.0), Lever("a", "x", 0.5, 1.0, 4.0)],
        [Lever("a", "x", 0.5, -1.0, 2.0)],
    ],
    ids=["shares differ", "more than the whole", "no range", "negative"],
)
def test_levers_that_contradict_are_refused(levers):
    with pytest.raises(InvalidParameter):
        combined_saving_s(100.0, levers)


def test_stages_in_a_row_have_their_wall_share():
    found = critical_shares([Span("a", 0, 2), Span("b", 2, 8), Span("a", 8, 10)])
    assert found == {"a": 0.4, "b": 0.6}


def test_a_stage_hidden_behind_another_holds_up_nothing():
    assert critical_shares([Span("long", 0, 10), Span("hidden", 3, 6)]) == {
        "long": 0.7,
        "hidden": 0.0,
    }


def test_overlap_with_itself_is_no_overlap():
    assert critical_shares([Span("a", 0, 6), Span("a", 4, 10)]) == {"a": 1.0}


def test_three_at_once_belong_to_none():
    spans = [Span("a", 0, 10), Span("b", 2, 4), Span("c", 3, 5)]
    assert critical_shares(spans) == {"a": 0.7, "b": 0.0, "c": 0.0}


def test_idle_time_belongs_to_none():
    assert critical_shares([Span("a", 100, 104), Span("b", 106, 110)]) == {"a": 0.4, "b": 0.4}


def test_a_span_without_length_disturbs_nothing():
    assert critical_shares([Span("a", 0, 10), Span("mark", 5, 5)]) == {"a": 1.0, "mark": 0.0}


spans_lists = st.lists(
    st.builds(
        lambda stage, start, length: Span(stage, start, start + length),
        st.sampled_from("abc"),
        st.integers(0, 20),
        st.integers(1, 10),
    ),
    min_size=1,
    max_size=12,
)


@given(spans_lists, st.randoms())
def test_shares_agree_with_a_count_of_ticks_in_any_order(spans, chance):
    first, last = min(s.start_s for s in spans), max(s.end_s for s in spans)
    ticks = {span.stage: 0 for span in spans}
    for tick in range(first, last):
        running = {s.stage for s in spans if s.start_s <= tick < s.end_s}
        if len(running) == 1:
            ticks[running.pop()] += 1
    expected = {stage: count / (last - first) for stage, count in ticks.items()}
    assert critical_shares(spans) == pytest.approx(expected)
    assert critical_shares(chance.sample(spans, len(spans))) == pytest.approx(expected)


def test_many_spans_are_no_burden():
    chance = random.Random(1)
    starts = [chance.uniform(0, 1e4) for _ in range(20_000)]
    spans = [Span(f"stage {i % 7}", s, s + 0.2) for i, s in enumerate(starts)]
    assert 0 < sum(critical_shares(spans).values()) < 1


@pytest.mark.parametrize(
    "spans",
    [[], [Span("a", 1, 1)], [Span("a", 2, 1)], [Span("a", 0, math.inf)], [Span("a", math.nan, 1)]],
    ids=["none", "no time", "backwards", "endless", "nan"],
)
def test_spans_that_are_none_are_refused(spans):
    with pytest.raises(InvalidParameter):
        critical_shares(spans)


def test_the_slower_of_both_limits_bounds_the_stage():
    compute = roofline(4.0, 100e12, 1e12, 100e12, 2e12)
    memory = roofline(4.0, 100e12, 4e12, 100e12, 2e12)
    assert compute.bound is Bound.COMPUTE
    assert compute.factor_max == 4.0
    assert compute.factor_promised == pytest.approx(2.8)
    assert memory.bound is Bound.MEMORY
    assert memory.factor_max == 2.0
    assert memory.factor_promised == pytest.approx(1.4)


@pytest.mark.parametrize("gpu_s", [1.2, 1.0, 0.5])
def test_near_the_peak_nothing_is_promised(gpu_s):
    found = roofline(gpu_s, 100e12, 0.0, 100e12, 2e12)
    assert found.factor_max == gpu_s
    assert found.capped(1.5, 3.0) == (1.0, 1.0)


@given(factors, factors, factors)
def test_no_more_is_promised_than_the_cap(factor_max, one, other):
    found = Roofline(factor_max, max(1.0, 0.7 * factor_max), Bound.COMPUTE)
    low, high = found.capped(min(one, other), max(one, other))
    assert low <= high <= max(1.0, 0.7 * factor_max)
    assert low <= min(one, other)


@pytest.mark.parametrize(
    "figures",
    [
        (0.0, 1.0, 1.0, 1.0, 1.0),
        (1.0, 0.0, 0.0, 1.0, 1.0),
        (1.0, -1.0, 1.0, 1.0, 1.0),
        (1.0, 1.0, math.nan, 1.0, 1.0),
        (1.0, 1.0, 1.0, 0.0, 1.0),
        (1.0, 1.0, 1.0, 1.0, math.inf),
    ],
    ids=["no time", "no work", "negative work", "unknown bytes", "no peak", "endless bandwidth"],
)
def test_a_roof_without_figures_is_refused(figures):
    with pytest.raises(InvalidParameter):
        roofline(*figures)
