from __future__ import annotations

import asyncio
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.profiling import recorder
from backend.profiling.recorder import (
    continue_from,
    current_headers,
    current_trace,
    end_pipeline,
    join_pipeline,
    profile_stage,
    record_pipeline,
    start_pipeline,
    wrap,
)
from backend.profiling.spans import ProfileStatus, SpanKind
from tests.profiling.conftest import CountedClock


def lengths(profile):
    return {span.name: span.elapsed_ns for span in profile.spans}


def test_nested_and_repeated_stages_are_right_to_the_nanosecond(clock_ns):
    with record_pipeline("p", clock_ns=clock_ns) as trace:
        clock_ns.forward(2)
        with profile_stage("outer"):
            clock_ns.forward(10)
            for _ in range(3):
                with profile_stage("inner", SpanKind.IO):
                    clock_ns.forward(7)
        with profile_stage("outer"):
            clock_ns.forward(100)
    profile = trace.profile
    outer = profile.spans[0]
    assert [(s.id, s.parent, s.name, s.elapsed_ns) for s in profile.spans] == [
        (1, None, "outer", 31), (2, 1, "inner", 7), (3, 1, "inner", 7), (4, 1, "inner", 7),
        (5, None, "outer", 100),
    ]  # fmt: skip
    assert profile.total_ns == 133
    assert (profile.self_ns(outer), profile.self_ns(None)) == (10, 2)
    assert {s.kind for s in profile.children(outer)} == {SpanKind.IO}
    assert [(s.name, s.occurrences) for s in profile.stages] == [("outer", 2)]
    assert profile.stage_seconds == {"outer": 131e-9}


def test_two_pipelines_in_two_threads_and_a_third_in_a_pool_stay_apart():
    both_inside = threading.Barrier(2, timeout=10)
    profiles = {}

    def work(name, step_ns):
        clock_ns = CountedClock()
        with record_pipeline(name, clock_ns=clock_ns) as trace:
            both_inside.wait()
            with profile_stage(f"{name}-outer"):
                clock_ns.forward(step_ns)
                both_inside.wait()
                with ThreadPoolExecutor(1) as pool:
                    pool.submit(wrap(inside), name, clock_ns, step_ns).result()
        profiles[name] = trace.profile

    def inside(name, clock_ns, step_ns):
        with profile_stage(f"{name}-pooled"):
            clock_ns.forward(2 * step_ns)
            own_ns = CountedClock()
            with record_pipeline(f"{name}-nested", clock_ns=own_ns) as nested:
                both_inside.wait()
                with profile_stage("deep"):
                    own_ns.forward(step_ns + 5)
        profiles[nested.pipeline_id] = nested.profile

    threads = [threading.Thread(target=work, args=pair) for pair in (("a", 3), ("b", 1000))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert lengths(profiles["a"]) == {"a-outer": 9, "a-pooled": 6}
    assert lengths(profiles["b"]) == {"b-outer": 3000, "b-pooled": 2000}
    assert lengths(profiles["a-nested"]) == {"deep": 8}
    assert lengths(profiles["b-nested"]) == {"deep": 1005}
    outer, pooled = profiles["a"].spans
    assert pooled.parent == outer.id
    assert pooled.thread != outer.thread


def test_a_pool_does_not_see_the_pipeline_unless_wrapped():
    with record_pipeline("p") as trace, ThreadPoolExecutor(2) as pool:
        assert pool.submit(current_trace).result() is None
        gate = threading.Barrier(2, timeout=10)

        def stage():
            with profile_stage("in the pool"):
                gate.wait()

        carried = wrap(stage)
        for running in [pool.submit(carried), pool.submit(carried)]:
            running.result()
    assert [span.name for span in trace.profile.spans] == ["in the pool"] * 2


def test_two_tasks_on_one_thread_stay_apart():
    async def work(name, other_is_in, mine_is_in):
        start_pipeline(name)
        mine_is_in.set()
        await other_is_in.wait()
        with profile_stage(f"{name}-stage"):
            await asyncio.sleep(0)
        return end_pipeline()

    async def both():
        first, second = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(work("a", second, first), work("b", first, second))

    profiles = asyncio.run(both())
    assert [(p.pipeline_id, [s.name for s in p.spans]) for p in profiles] == [
        ("a", ["a-stage"]), ("b", ["b-stage"]),
    ]  # fmt: skip


def test_a_failure_is_recorded_in_stage_and_pipeline():
    with (
        pytest.raises(KeyError),
        record_pipeline("p") as trace,
        profile_stage("outer"),
        profile_stage("inner"),
    ):
        raise KeyError
    assert [span.error for span in trace.profile.spans] == ["KeyError", "KeyError"]
    assert trace.profile.status is ProfileStatus.FAILED
    assert current_trace() is None


def test_a_failure_that_was_handled_leaves_the_pipeline_ok():
    with record_pipeline("p") as trace:
        with pytest.raises(KeyError), profile_stage("first try"):
            raise KeyError
        with profile_stage("second try"):
            pass
    assert [span.error for span in trace.profile.spans] == ["KeyError", None]
    assert trace.profile.status is ProfileStatus.OK
    assert [stage.failed for stage in trace.profile.stages] == [True, False]


def test_without_with_the_last_stage_decides_the_status():
    start_pipeline("p")
    with pytest.raises(KeyError), profile_stage("s"):
        raise KeyError
    assert end_pipeline().status is ProfileStatus.FAILED


def test_a_stage_that_outlives_its_pipeline_is_unfinished(clock_ns):
    start_pipeline("p", clock_ns=clock_ns)
    with profile_stage("late"):
        clock_ns.forward(4)
        profile = end_pipeline()
        clock_ns.forward(50)
        with profile_stage("after the end"):
            pass
    (span,) = profile.spans
    assert (span.end_ns, span.elapsed_s) == (None, None)
    assert profile.stage_seconds == {"late": 4e-9}
    assert current_trace() is None


def test_what_inherited_a_pipeline_neither_adds_to_it_nor_ends_it_again(told):
    def late():
        with profile_stage("late"):
            pass
        return end_pipeline()

    trace = start_pipeline("p")
    carried = wrap(late)
    end_pipeline()
    assert carried() is None
    assert trace.spans == []
    assert [profile.pipeline_id for profile in told] == ["p"]


def test_memory_is_bounded_and_what_was_dropped_is_said():
    with record_pipeline("p", span_limit=10) as trace:
        with profile_stage("outer"):
            for _ in range(100):
                with profile_stage("step"), profile_stage("inside"):
                    pass
        with profile_stage("the end"), profile_stage("inside"):
            pass
    profile = trace.profile
    assert len(profile.spans) == 11
    assert profile.dropped_spans == 1 + 200 + 2 - 11
    assert set(profile.stage_seconds) == {"outer", "the end"}
    kept = {span.id for span in profile.spans}
    assert all(span.parent is None or span.parent in kept for span in profile.spans)


def test_the_top_level_is_bounded_too():
    with record_pipeline("p", span_limit=5) as trace:
        for number in range(50):
            with profile_stage(str(number)):
                pass
    assert (len(trace.profile.spans), trace.profile.dropped_spans) == (10, 40)


def test_concurrent_stages_are_counted_exactly_at_the_limit():
    with record_pipeline("p", span_limit=100) as trace, ThreadPoolExecutor(8) as pool:

        def steps():
            for _ in range(200):
                with profile_stage("step"):
                    pass

        with profile_stage("outer"):
            carried = wrap(steps)
            for running in [pool.submit(carried) for _ in range(8)]:
                running.result()
    profile = trace.profile
    assert (len(profile.spans), profile.dropped_spans) == (100, 1501)
    assert len({span.id for span in profile.spans}) == 100


def test_without_a_pipeline_a_stage_does_nothing_and_lets_errors_through():
    with pytest.raises(KeyError), profile_stage("alone"):
        raise KeyError
    assert current_trace() is None
    assert end_pipeline() is None


def test_an_inner_pipeline_hides_the_outer_one_until_it_ends(told):
    start_pipeline("outer")
    start_pipeline("inner")
    with profile_stage("in inner"):
        pass
    assert [s.name for s in end_pipeline().spans] == ["in inner"]
    with profile_stage("in outer"):
        pass
    assert [s.name for s in end_pipeline().spans] == ["in outer"]
    assert [profile.pipeline_id for profile in told] == ["inner", "outer"]


def test_a_listener_that_fails_does_not_fail_the_job(told, caplog):
    def broken(profile):
        raise RuntimeError("disk full")

    recorder.add_listener(broken)
    try:
        with record_pipeline("p"):
            pass
    finally:
        recorder.remove_listener(broken)
    assert [profile.pipeline_id for profile in told] == ["p"]
    assert "disk full" in caplog.text


def test_joining_records_into_the_pipeline_in_force(clock_ns):
    with record_pipeline("job", clock_ns=clock_ns) as trace:
        with profile_stage("before"):
            pass
        with profile_stage("load"), join_pipeline("image_to_3d") as times:
            for _ in range(2):
                with profile_stage("shape"), profile_stage("deep"):
                    clock_ns.forward(500_000_000)
    assert times.seconds == {"shape": 1.0}
    assert [span.name for span in trace.profile.spans] == [
        "before", "load", "shape", "deep", "shape", "deep",
    ]  # fmt: skip


def test_joining_without_a_pipeline_opens_one(told):
    with join_pipeline("image_to_3d") as times, profile_stage("shape"):
        pass
    assert list(times.seconds) == ["shape"]
    assert told[0].pipeline_id == "image_to_3d"


def test_headers_carry_trace_and_parent_to_another_process():
    with record_pipeline("web") as sender, profile_stage("submit"):
        headers = current_headers()
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", headers["traceparent"])
    with continue_from(headers):
        assert current_headers() == headers
        with record_pipeline("worker") as receiver:
            pass
    submit = sender.profile.spans[0]
    assert receiver.profile.trace_id == sender.profile.trace_id
    assert int(receiver.profile.remote_parent, 16) == int(sender.profile.key, 16) + submit.id
    assert receiver.profile.key != sender.profile.key
    assert current_headers() == {}


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "nonsense",
        f"00-{'0' * 32}-{'1' * 16}-01",
        f"00-{'1' * 32}-{'0' * 16}-01",
        f"ff-{'1' * 32}-{'1' * 16}-01",
        7,
    ],
)
def test_malformed_headers_start_a_new_trace(value):
    with continue_from({"traceparent": value}), record_pipeline("worker") as trace:
        pass
    assert trace.profile.remote_parent is None
    assert int(trace.profile.trace_id, 16) > 0


def test_a_span_measured_elsewhere_is_kept_but_is_not_a_stage(clock_ns):
    with record_pipeline("p", clock_ns=clock_ns) as trace:
        trace.add_span("wait", SpanKind.QUEUE, 0, 900, {"queue": "gpu"})
        with profile_stage("work"):
            clock_ns.forward(5)
    assert trace.profile.total_ns == 5
    assert list(trace.profile.stage_seconds) == ["work"]
    assert trace.profile.spans[0].elapsed_ns == 900


def test_a_generator_closed_elsewhere_does_not_put_its_stage_in_force_there():
    def stages():
        with profile_stage("in the generator"):
            yield

    start_pipeline("a")
    steps = stages()
    next(steps)
    end_pipeline()
    with record_pipeline("b") as trace:
        steps.close()
        assert current_trace() is trace
        with profile_stage("mine"):
            pass
    assert [(s.name, s.parent) for s in trace.profile.spans] == [("mine", None)]


trees = st.recursive(
    st.integers(0, 50).map(lambda ns: (ns, [])),
    lambda inner: st.tuples(st.integers(0, 50), st.lists(inner, max_size=4)),
    max_leaves=20,
)


def run_tree(tree, clock_ns):
    own_ns, inside = tree
    clock_ns.forward(own_ns)
    for child in inside:
        with profile_stage(f"stage {len(child[1])}"):
            run_tree(child, clock_ns)
        clock_ns.forward(1)


def own_times(tree):
    yield tree[0] + len(tree[1])
    for child in tree[1]:
        yield from own_times(child)


@given(trees)
def test_self_times_add_up_to_the_run_and_parents_contain_children(tree):
    clock_ns = CountedClock()
    with record_pipeline("p", clock_ns=clock_ns) as trace:
        run_tree(tree, clock_ns)
    profile = trace.profile
    selves = [profile.self_ns(span) for span in [None, *profile.spans]]
    assert selves == list(own_times(tree))
    assert sum(selves) == profile.total_ns
    for span in [None, *profile.spans]:
        start_ns, end_ns = profile.interval(span)
        for child in profile.children(span):
            assert start_ns <= child.start_ns <= child.end_ns <= end_ns
