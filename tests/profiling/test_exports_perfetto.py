from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta

import pytest

from backend.profiling.exports.lanes import lay_out
from backend.profiling.exports.perfetto import (
    CounterTrack,
    TracedRun,
    trace_document,
    waiting_track,
)
from backend.profiling.spans import PipelineProfile, Span, SpanKind

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def span(number, parent, name, start_ns, end_ns, thread=7, kind=SpanKind.CPU, **more):
    return Span(number, parent, name, kind, thread, start_ns, end_ns, **more)


def profile(*spans, start_ns=1_000, end_ns=11_000, started_at=NOON, **more):
    return PipelineProfile(
        "image_to_3d", {}, started_at, start_ns=start_ns, end_ns=end_ns, spans=list(spans), **more
    )


NESTED = profile(
    span(1, None, "shape", 2_000, 8_000, kind=SpanKind.GPU, gpu_ns=4_500_000, peak_bytes=3 << 20),
    span(2, 1, "decode", 3_000, 5_500),
    span(3, 1, "helper", 4_000, 6_000, thread=9, error="ValueError"),
    span(4, None, "export", 9_000, None, kind=SpanKind.IO),
)


def events(document, *phases):
    return [event for event in document["traceEvents"] if event["ph"] in phases]


def named(document, name):
    return next(e for e in document["traceEvents"] if e["name"] == name and e["ph"] == "X")


def assert_valid(document):
    """What the trace format asks of every event, and what a viewer needs to draw it right."""
    json.dumps(document, allow_nan=False)
    times = []
    tracks = {}
    for event in document["traceEvents"]:
        assert event["ph"] in ("X", "M", "C", "s", "f")
        assert isinstance(event["name"], str)
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        assert event["ts"] >= 0
        if event["ph"] != "M":
            times.append(event["ts"])
        if event["ph"] == "X":
            assert event["dur"] >= 0
            tracks.setdefault((event["pid"], event["tid"]), []).append(event)
        if event["ph"] == "C":
            assert all(isinstance(value, int | float) for value in event["args"].values())
    assert times == sorted(times)
    for track in tracks.values():
        assert_nests(track)
    assert_flows_touch_spans(document)
    lines = {(e["pid"], e["tid"]) for e in events(document, "M") if e["name"] == "thread_name"}
    assert set(tracks) <= lines


def assert_nests(track):
    open_ends = []
    for event in track:
        start_ns = round(1000 * event["ts"])
        end_ns = start_ns + round(1000 * event["dur"])
        while open_ends and open_ends[-1] <= start_ns:
            open_ends.pop()
        assert not open_ends or end_ns <= open_ends[-1], event
        open_ends.append(end_ns)


def assert_flows_touch_spans(document):
    starts = {(e["pid"], e["tid"], e["ts"]) for e in events(document, "X")}
    outs = {e["id"]: e for e in events(document, "s")}
    ins = {e["id"]: e for e in events(document, "f")}
    assert set(outs) == set(ins)
    assert len(outs) == len(events(document, "s"))
    for event in (*outs.values(), *ins.values()):
        assert (event["pid"], event["tid"], event["ts"]) in starts
    for number, event in outs.items():
        assert event["ts"] <= ins[number]["ts"]
    assert all(event["bp"] == "e" for event in ins.values())


def test_spans_become_complete_events_in_microseconds():
    document = trace_document([TracedRun(NESTED, "image_to_3d 01abc")])
    assert_valid(document)
    whole, decode, export = (named(document, n) for n in ("image_to_3d", "decode", "export"))
    assert (whole["ts"], whole["dur"]) == (0, 10)
    assert (decode["ts"], decode["dur"]) == (2, 2.5)
    assert (export["ts"], export["dur"]) == (8, 2)
    assert export["args"]["unfinished"] is True
    assert named(document, "helper")["args"]["error"] == "ValueError"
    assert named(document, "shape")["args"] == {"span": 1, "gpu_ms": 4.5, "peak_mb": 3}
    assert named(document, "shape")["cat"] == "gpu"


def test_threads_have_lines_of_their_own_with_names():
    document = trace_document([TracedRun(NESTED, "a title")])
    assert named(document, "shape")["tid"] == named(document, "decode")["tid"]
    assert named(document, "helper")["tid"] != named(document, "shape")["tid"]
    names = {
        (e["name"], e["pid"], e["tid"]): e["args"]["name"] for e in events(document, "M")
    }  # fmt: skip
    assert names == {
        ("process_name", 0, 0): "machine",
        ("process_name", 1, 0): "a title",
        ("thread_name", 1, 0): "run",
        ("thread_name", 1, 1): "thread 1",
        ("thread_name", 1, 2): "thread 2",
    }


def test_a_stage_points_to_what_it_started_on_another_thread():
    document = trace_document([TracedRun(NESTED, "t")])
    (out,), (into,) = events(document, "s"), events(document, "f")
    assert out["tid"] == named(document, "shape")["tid"]
    assert into["tid"] == named(document, "helper")["tid"]


def test_the_wait_in_the_queue_lies_before_the_run_and_points_to_it():
    waited = profile(
        span(1, None, "queue", -499_000, 1_000, kind=SpanKind.QUEUE),
        span(2, None, "shape", 2_000, 8_000),
    )
    document = trace_document([TracedRun(waited, "t", queue_s=123.0)])
    assert_valid(document)
    wait, whole = named(document, "queue"), named(document, "image_to_3d")
    assert (wait["ts"], wait["dur"], whole["ts"]) == (0, 500, 500)
    assert wait["tid"] not in (whole["tid"], named(document, "shape")["tid"])
    (out,), (into,) = events(document, "s"), events(document, "f")
    assert (out["tid"], into["tid"]) == (wait["tid"], whole["tid"])
    assert len(events(document, "X")) == 3


def test_a_wait_that_has_no_span_is_drawn_from_the_summary():
    document = trace_document([TracedRun(NESTED, "t", queue_s=0.002)])
    assert_valid(document)
    wait = named(document, "queue")
    assert (wait["ts"], wait["dur"]) == (0, 2000)
    assert named(document, "image_to_3d")["ts"] == 2000


def test_two_runs_share_one_clock_and_have_numbers_of_their_own():
    later = profile(span(1, None, "shape", 2_000, 3_000), started_at=NOON + timedelta(seconds=2))
    document = trace_document([TracedRun(NESTED, "a"), TracedRun(later, "b")])
    assert_valid(document)
    runs = [event for event in events(document, "X") if event["cat"] == "run"]
    assert [(run["pid"], run["ts"]) for run in runs] == [(1, 0), (2, 2_000_000)]
    assert document["otherData"]["origin"] == "2026-03-01T12:00:00.000Z"


def test_counters_stand_on_the_same_clock_and_leave_out_what_is_unknown():
    power = CounterTrack(
        "power", "W",
        [(NOON - timedelta(seconds=1), 90.5), (NOON, None), (NOON + timedelta(seconds=1), 0.0)],
    )  # fmt: skip
    document = trace_document([TracedRun(NESTED, "t")], [power])
    assert_valid(document)
    shown = [(e["ts"], e["name"], e["args"]) for e in events(document, "C")]
    assert shown == [(0, "power (W)", {"W": 90.5}), (2_000_000, "power (W)", {"W": 0.0})]
    assert named(document, "image_to_3d")["ts"] == 1_000_000


def test_the_waiting_runs_are_counted():
    first = TracedRun(profile(started_at=NOON), "a", queue_s=3.0)
    second = TracedRun(profile(started_at=NOON + timedelta(seconds=1)), "b", queue_s=2.0)
    track = waiting_track([first, second, TracedRun(NESTED, "c")])
    at_s = [((moment - NOON).total_seconds(), value) for moment, value in track.points]
    assert at_s == [(-3, 1), (-1, 2), (0, 1), (1, 0)]


def test_tasks_that_overlap_on_one_thread_get_a_line_each():
    overlapping = profile(
        span(1, None, "first", 2_000, 6_000),
        span(2, None, "second", 4_000, 9_000),
        span(3, 2, "inside second", 4_500, 5_000),
    )
    layout = lay_out(overlapping)
    lanes = {placed.span.name: placed.lane for placed in layout.spans}
    assert lanes["first"] != lanes["second"] == lanes["inside second"]
    assert layout.names == {1: "thread 1", 2: "thread 1 (2)"}
    assert_valid(trace_document([TracedRun(overlapping, "t")]))


@pytest.mark.parametrize("seed", range(20))
def test_any_mess_of_spans_nests_on_its_lines(seed):
    draw = random.Random(seed)
    spans = []
    for number in range(1, 60):
        start_ns = draw.randrange(0, 11_000)
        end_ns = draw.choice([None, start_ns, start_ns + draw.randrange(0, 4_000)])
        parent = draw.choice([None, *(s.id for s in spans)])
        kind = draw.choice(list(SpanKind))
        spans.append(span(number, parent, f"s{number}", start_ns, end_ns, draw.randrange(3), kind))
    messy = profile(*spans)
    document = trace_document([TracedRun(messy, "t"), TracedRun(messy, "u", queue_s=0.5)])
    assert_valid(document)
    assert len(events(document, "X")) == 2 * (1 + len(spans))


def test_nothing_to_show_is_still_a_trace():
    document = trace_document([])
    assert_valid(document)
    assert document["otherData"]["origin"] is None
