from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.profiling import self_time, trace_headers
from backend.profiling.self_time import covered_ns, exclusive_ns

edges = st.tuples(st.integers(0, 60), st.integers(0, 30)).map(lambda p: (p[0], p[0] + p[1]))


@pytest.mark.parametrize("module", [self_time, trace_headers])
def test_examples_hold(module):
    assert doctest.testmod(module).attempted > 0
    assert doctest.testmod(module).failed == 0


@given(st.lists(edges, max_size=12))
def test_the_union_is_what_counting_every_nanosecond_gives(intervals):
    assert covered_ns(intervals) == len({ns for a, b in intervals for ns in range(a, b)})


@given(st.lists(edges, max_size=10), st.randoms(use_true_random=False))
def test_every_moment_is_given_away_once(intervals, random):
    spans = dict(enumerate(intervals))
    parents = {n: random.choice([None, *range(n)]) for n in spans}
    shares = exclusive_ns(spans, parents)
    assert sum(shares.values()) == pytest.approx(covered_ns(intervals))
    assert all(shares[n] <= end - start + 1e-9 for n, (start, end) in spans.items())


def test_siblings_that_overlap_share_and_the_parent_gets_the_rest():
    shares = exclusive_ns(
        {"p": (0, 100), "a": (10, 50), "b": (30, 50)}, {"p": None, "a": "p", "b": "p"}
    )
    assert shares == {"p": 60.0, "a": 30.0, "b": 10.0}
