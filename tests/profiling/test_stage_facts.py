from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from backend.profiling.recorder import profile_stage, record_pipeline, wrap
from backend.profiling.run_summary import read_stages, run_stages
from backend.profiling.spans import NS, PipelineProfile, Span, SpanKind
from backend.profiling.stage_facts import FactName, note_fact
from backend.profiling.stage_parts import MOST_INNER, nearest_around
from backend.profiling.work import note_work
from tests.profiling.made_runs import DAY

LOOP = {"steps": 30, "fewer_steps": 20, "forwards_per_step": 2}


def spans_of(*rows):
    """Spans of (id, parent, name, start, end, attributes), in seconds."""
    return [
        Span(
            number,
            parent,
            name,
            SpanKind.GPU,
            1,
            round(start * NS),
            round(end * NS),
            attributes=attributes,
        )
        for number, parent, name, start, end, attributes in rows
    ]


def profile_of(*rows):
    return PipelineProfile("p", {}, DAY, 0, 10 * NS, spans_of(*rows))


def test_a_fact_lies_on_the_innermost_stage_and_the_last_one_counts():
    shared = {"seed": 1}
    inside = profile_stage
    with record_pipeline("p") as trace, inside("outer"), inside("inner", attributes=shared):
        note_fact(FactName.LOOP, {"steps": 10})
        note_fact(FactName.LOOP, LOOP)
        note_fact(FactName.DECODE, {"queries": 8})
    outer, inner = trace.profile.spans
    assert outer.attributes is None
    assert inner.attributes == {"seed": 1, "facts": {"loop": LOOP, "decode": {"queries": 8}}}
    assert shared == {"seed": 1}


def test_without_an_open_stage_nothing_is_noted():
    note_fact(FactName.LOOP, LOOP)
    with record_pipeline("p") as trace:
        note_fact(FactName.LOOP, LOOP)
    assert trace.profile.spans == []


def test_threads_lose_neither_work_nor_facts():
    names = list(FactName)
    with record_pipeline("p") as trace, profile_stage("a"):

        def note(name):
            for number in range(500):
                note_work(1, 1, "bf16")
                note_fact(name, {"number": number})

        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(wrap(note), names))
    attributes = trace.profile.spans[0].attributes
    assert attributes["flop"] == 500 * len(names)
    assert attributes["facts"] == {name.value: {"number": 499} for name in names}


def test_stages_that_noted_something_are_known_by_their_path():
    with record_pipeline("p") as trace:
        with profile_stage("shape"):
            with profile_stage("silent"), profile_stage("denoise", SpanKind.GPU):
                note_fact(FactName.LOOP, LOOP)
                with profile_stage("forward", SpanKind.GPU):
                    note_work(6, 60, "bf16", calls=2)
            with profile_stage("smooth"):
                pass
        with profile_stage("export"):
            pass
    shape, export = run_stages(trace.profile)
    denoise, forward = shape.inner
    assert (denoise.name, forward.name) == (
        "shape/silent/denoise",
        "shape/silent/denoise/forward",
    )
    assert (denoise.kind, dict(denoise.facts), dict(forward.facts)) == ("gpu", {"loop": LOOP}, {})
    for stage in (shape, denoise, forward):  # what is inside counts for those around it
        assert (stage.flop, stage.moved_bytes, stage.dtype, stage.calls) == (6, 60, "bf16", 2)
    assert denoise.gpu_s is None
    assert export.inner == ()
    assert [stage.name for stage in (shape, export)] == ["shape", "export"]


def test_runs_of_a_stage_inside_another_add_up():
    decode = {"resolution": 63, "queries": 100}
    attention = {"backend": "math", "calls": 4, "now_s": 0.1}
    (shape,) = run_stages(
        profile_of(
            (1, None, "shape", 0, 8, None),
            (2, 1, "decode", 1, 2, {"facts": {"decode": decode, "attention": attention}}),
            (3, 1, "decode", 3, 6, {"facts": {"decode": decode | {"queries": 9}}}),
            (4, 1, "decode", 6, 7, {"facts": {"attention": attention | {"now_s": 0.2}}}),
        )
    )
    (inner,) = shape.inner
    assert (inner.elapsed_s, inner.share_pct) == (pytest.approx(5.0), pytest.approx(50.0))
    assert inner.facts["decode"]["queries"] == 9
    assert inner.facts["attention"] == {"backend": "math", "calls": 8, "now_s": 0.2}


def test_a_sum_is_not_known_where_a_part_is_not():
    compiled = {"is_on": True, "recompiles": 1, "recompile_s": None}
    (shape,) = run_stages(
        profile_of(
            (1, None, "shape", 0, 2, {"facts": {"compiled": compiled | {"recompile_s": 3.0}}}),
            (2, None, "shape", 2, 4, {"facts": {"compiled": compiled}}),
        )
    )
    assert shape.facts["compiled"] == {"is_on": True, "recompiles": 2, "recompile_s": None}


def test_only_the_longest_of_many_are_kept_in_their_order():
    steps = [
        (number + 2, 1, f"step{number}", 0, number % 7 + number / 100, {"facts": {"loop": LOOP}})
        for number in range(30)
    ]
    (shape,) = run_stages(profile_of((1, None, "shape", 0, 10, None), *steps))
    longest = sorted(range(30), key=lambda number: -(number % 7 + number / 100))[:MOST_INNER]
    assert [stage.name for stage in shape.inner] == [f"shape/step{n}" for n in sorted(longest)]


def test_stored_stages_come_back_and_older_ones_too():
    stages = run_stages(
        profile_of(
            (1, None, "shape", 0, 8, None),
            (2, 1, "denoise", 1, 5, {"facts": {"loop": LOOP}, "flop": 5.0, "calls": 60}),
            (3, None, "export", 8, 9, None),
        )
    )
    rows = json.loads(json.dumps([stage.to_row() for stage in stages]))
    assert read_stages(rows) == stages
    assert read_stages(rows)[0].inner == stages[0].inner != ()
    assert "noted" not in rows[1]
    written = [stage.to_document() for stage in stages]
    assert written[0]["inner"][0]["facts"] == {"loop": LOOP}
    assert written[1] == rows[1]
    assert [stage.to_row() for stage in stages] == rows  # whoever looked into it
    older = {name: rows[0][name] for name in ("name", "kind", "elapsed_s", "share_pct")}
    older |= {"gpu_s": None, "peak_mb": None}
    (read,) = read_stages([older])
    assert (read.inner, dict(read.facts), read.calls) == ((), {}, None)
    assert read_stages([rows[0], rows[1] | {"colour": "red"}]) == stages


def test_waiting_in_the_queue_is_no_stage():
    waited = Span(1, None, "queue", SpanKind.QUEUE, 1, 0, NS, attributes={"facts": {"loop": LOOP}})
    assert run_stages(PipelineProfile("p", {}, DAY, NS, 2 * NS, [waited])) == ()


def test_the_nearest_stage_around_is_found_by_whole_names():
    assert nearest_around("a/b/c", ["a", "a/b/c", "a/bb", "b"]) == "a"
    assert nearest_around("a/b/c", ["a", "a/b"]) == "a/b"
    assert nearest_around("ab/c", ["a"]) is None
