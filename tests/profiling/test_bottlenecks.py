from __future__ import annotations

import doctest
import json

import pytest

from backend.profiling import bottlenecks
from backend.profiling.bottlenecks import Severity, identify_bottlenecks, stage_shares
from backend.profiling.spans import SpanKind
from tests.profiling.test_spans import profile, span


def shares(*spans, end_ns=100):
    found = stage_shares(profile(*spans, end_ns=end_ns))
    return {name: share.percent for name, share in found.items()}


def test_examples_hold():
    assert doctest.testmod(bottlenecks) == (0, 1)


def test_a_nested_stage_counts_once():
    found = shares(span(1, 0, 100, name="outer"), span(2, 0, 90, parent=1, name="inner"))
    assert found == pytest.approx({"outer": 10.0, "inner": 90.0})


def test_four_runs_of_a_stage_are_summed():
    runs = [span(n, 24 * n, 24 * n + 24, name="step") for n in range(4)]
    (found,) = identify_bottlenecks([profile(*runs, end_ns=100)])
    assert found.avg_percent == pytest.approx(96)
    assert (found.occurrences, found.pipelines) == (4, 1)
    assert found.avg_duration_seconds == pytest.approx(96e-9)


def test_stages_side_by_side_share_the_time():
    outer = span(1, 0, 100, name="outer")
    pooled = [span(n, 0, 80, parent=1, name=f"part {n}") for n in (2, 3, 4, 5)]
    found = shares(outer, *pooled)
    assert found["part 2"] == pytest.approx(20)
    assert sum(found.values()) == pytest.approx(100)


def test_a_stage_inside_itself_counts_once():
    assert shares(span(1, 0, 80, name="a"), span(2, 10, 50, parent=1, name="a")) == {
        "a": pytest.approx(80)
    }


def test_means_are_over_the_pipelines_that_ran_the_stage():
    with_it = [profile(span(1, 0, end, name="a"), end_ns=100) for end in (30, 50)]
    without = profile(span(1, 0, 100, name="b"), end_ns=100)
    found = {b.stage: b for b in identify_bottlenecks([*with_it, without])}
    assert found["a"].avg_percent == pytest.approx(40)
    assert found["a"].severity is Severity.HIGH
    assert found["b"].severity is Severity.CRITICAL


def test_the_largest_is_first_and_what_is_below_the_threshold_is_absent():
    run = profile(
        span(1, 0, 25, name="a"), span(2, 25, 81, name="b"), span(3, 81, 100, name="c"), end_ns=100
    )
    assert [b.stage for b in identify_bottlenecks([run])] == ["b", "a"]
    assert [b.stage for b in identify_bottlenecks([run], 50)] == ["b"]


def test_the_wait_in_the_queue_is_no_bottleneck_of_the_run():
    run = profile(span(1, -900, 0, name="wait", kind=SpanKind.QUEUE), span(2, 0, 90), end_ns=100)
    assert [b.stage for b in identify_bottlenecks([run], 0)] == ["s"]


def test_the_kind_is_what_most_of_the_time_was_spent_on():
    run = profile(span(1, 0, 30, kind=SpanKind.LOAD), span(2, 30, 90, kind=SpanKind.GPU), end_ns=90)
    document = json.loads(json.dumps(identify_bottlenecks([run])[0].to_document()))
    assert (document["kind"], document["severity"]) == ("gpu", "critical")


def test_a_run_without_length_or_stages_has_no_bottleneck():
    assert identify_bottlenecks([profile(end_ns=0), profile(span(1, 0, 0), end_ns=0)]) == []
