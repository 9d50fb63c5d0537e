from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from backend.profiling.spans import PipelineProfile, ProfileStatus, Span, SpanKind

START = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)


def span(number, start_ns, end_ns, parent=None, name="s", kind=SpanKind.CPU, **more):
    return Span(number, parent, name, kind, 1, start_ns, end_ns, **more)


def profile(*spans, end_ns=1_000, **more):
    return PipelineProfile("p", {}, START, 0, end_ns, list(spans), **more)


def test_document_is_json_and_reads_back_equal():
    original = profile(
        span(1, 0, 700, name="shape", kind=SpanKind.GPU, gpu_ns=650, peak_bytes=4096),
        span(2, 100, None, parent=1, error="KeyError", attributes={"steps": 30}),
        status=ProfileStatus.FAILED,
        device="Scripted Card",
        allocator={"alloc_retries": 1},
        trace_id="1" * 32,
        key="2" * 16,
        remote_parent="3" * 16,
        dropped_spans=4,
    )
    document = json.loads(json.dumps(original.to_document()))
    assert PipelineProfile.from_document(document) == original
    assert document["slowest_stage"] == "shape"
    assert document["total_duration"] == 1e-6
    assert document["stages"][0]["gpu_seconds"] == 650e-9


def test_a_document_with_an_unknown_field_is_read_and_one_without_spans_is_refused():
    document = profile(span(1, 0, 5)).to_document()
    newer = document | {"colour": "red"}
    assert PipelineProfile.from_document(newer).spans == [span(1, 0, 5)]
    del document["spans"]
    with pytest.raises(KeyError):
        PipelineProfile.from_document(document)


def test_percentages_are_of_the_wall_time():
    run = profile(
        span(1, 0, 250, name="a"), span(2, 250, 500, name="b"), span(3, 500, 750, name="a")
    )
    assert run.stage_percentages == {"a": 50.0, "b": 25.0}
    assert run.slowest_stage.name == "a"


def test_a_profile_without_stages_or_length_has_no_slowest():
    assert profile(end_ns=0).slowest_stage is None
    assert profile(span(1, 0, 0), end_ns=0).stage_percentages == {"s": 0.0}


def test_a_parent_shows_the_peak_of_its_children_and_unknown_gpu_time_stays_unknown():
    parent = span(1, 0, 100, peak_bytes=10, gpu_ns=50)
    child = span(2, 10, 20, parent=1, peak_bytes=90)
    (stage,) = profile(parent, child).stages
    assert (stage.peak_bytes, stage.gpu_seconds) == (90, 50e-9)
    (stage,) = profile(parent, replace(parent, id=3, gpu_ns=None)).stages
    assert stage.gpu_seconds is None
    assert profile().peak_bytes is None


def test_children_that_overlap_are_subtracted_once():
    parent = span(1, 0, 100)
    run = profile(parent, span(2, 10, 60, parent=1), span(3, 40, 80, parent=1), end_ns=100)
    assert run.self_ns(parent) == 30


def test_a_peak_at_any_depth_belongs_to_the_outermost_stage():
    run = profile(
        span(1, 0, 9, name="a"), span(2, 0, 9, parent=1), span(3, 0, 9, parent=2, peak_bytes=7),
        span(4, 0, 9, name="b"),
    )  # fmt: skip
    assert [(s.name, s.peak_bytes) for s in run.stages] == [("a", 7), ("b", None)]
