from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.profiling.comparison import compare_runs
from backend.web.charts.bars import bars
from backend.web.charts.before_after import MAX_ROWS as MAX_PAIRS
from backend.web.charts.before_after import WIDEST_PCT, before_after
from backend.web.charts.histogram import MOST_SINGLE, histogram
from backend.web.charts.scale import Scale
from backend.web.charts.waterfall import AXIS_PX, MAX_ROWS, ROW_PX, waterfall

S = 1_000_000_000


def span(number, name, start_s, end_s, parent=None, kind="cpu", **more):
    return {
        "id": number, "parent": parent, "name": name, "kind": kind, "thread": 1,
        "start_ns": int(start_s * S), "end_ns": None if end_s is None else int(end_s * S),
        "error": None, "gpu_ns": None, "peak_bytes": None, "attributes": None,
    } | more  # fmt: skip


def profile(*spans, start_s=100.0, end_s=110.0, **more):
    return {"start_ns": int(start_s * S), "end_ns": int(end_s * S), "spans": list(spans)} | more


def named(chart):
    return {row.name: row for row in chart.rows}


def test_stages_lie_where_they_ran():
    rows = named(waterfall(profile(span(1, "shape", 100, 106), span(2, "export", 106, 110))))
    assert (rows["shape"].x_pct, rows["shape"].width_pct) == (0.0, 60.0)
    assert (rows["export"].x_pct, rows["export"].width_pct) == (60.0, 40.0)
    assert rows["export"].start_s == 6.0
    assert rows["export"].elapsed_s == 4.0


def test_stages_inside_follow_the_stage_around_them():
    chart = waterfall(profile(
        span(1, "shape", 100, 106), span(2, "export", 106, 110),
        span(3, "decode", 103, 106, parent=1), span(4, "denoise", 100, 103, parent=1),
        span(5, "step", 100, 101, parent=4),
    ))  # fmt: skip
    found = [(row.name, row.depth) for row in chart.rows]
    assert found == [("shape", 0), ("denoise", 1), ("step", 2), ("decode", 1), ("export", 0)]
    assert [row.y_px for row in chart.rows] == [AXIS_PX + at * ROW_PX for at in range(5)]
    assert chart.height_px == AXIS_PX + 5 * ROW_PX


def test_stage_whose_outer_stage_is_not_kept_is_shown_at_the_top():
    chart = waterfall(profile(span(7, "orphan", 101, 102, parent=3)))
    assert [(row.name, row.depth) for row in chart.rows] == [("orphan", 0)]


def test_short_wait_is_drawn_to_scale_before_the_run():
    chart = waterfall(profile(span(1, "queue", 98, 100, kind="queue"), span(2, "a", 100, 110)))
    rows = named(chart)
    assert rows["queue"].is_wait
    assert not rows["a"].is_wait
    assert not rows["queue"].is_cut
    assert rows["queue"].start_s == -2.0
    assert chart.run_x_pct == pytest.approx(100 * 2 / 12)
    assert rows["queue"].width_pct == pytest.approx(chart.run_x_pct)
    assert rows["a"].width_pct == pytest.approx(100 * 10 / 12)


def test_long_wait_leaves_room_for_the_run_and_says_that_it_is_cut():
    rows = named(
        waterfall(profile(span(1, "queue", 10, 100, kind="queue"), span(2, "a", 100, 110)))
    )
    assert rows["queue"].is_cut
    assert rows["queue"].elapsed_s == 90.0
    assert rows["queue"].width_pct == pytest.approx(20.0)
    assert rows["a"].width_pct == pytest.approx(80.0)


def test_stage_without_an_end_reaches_to_the_end_of_the_run():
    (row,) = waterfall(profile(span(1, "a", 104, None, error="OutOfMemory"))).rows
    assert row.elapsed_s is None
    assert (row.x_pct, row.width_pct) == (40.0, 60.0)
    assert row.error == "OutOfMemory"


def test_what_was_not_measured_is_none():
    measured = span(2, "b", 105, 110, gpu_ns=2 * S, peak_bytes=3 * 1024**2)
    first, second = waterfall(profile(span(1, "a", 100, 105), measured)).rows
    assert (first.gpu_s, first.peak_mb) == (None, None)
    assert (second.gpu_s, second.peak_mb) == (2.0, 3.0)


def test_innermost_and_shortest_stages_are_left_out_first():
    steps = [span(n, f"step{n}", 100 + n / 100, 100 + n / 50, parent=1) for n in range(2, 100)]
    chart = waterfall(profile(span(1, "a", 100, 110), *steps, dropped_spans=4))
    assert len(chart.rows) == MAX_ROWS
    assert chart.rows[0].name == "a"
    assert "step99" in named(chart)
    assert "step2" not in named(chart)
    assert chart.left_out == 99 - MAX_ROWS + 4
    starts = [row.start_s for row in chart.rows]
    assert starts == sorted(starts)


def test_run_without_stages_has_no_rows():
    assert waterfall(profile()).rows == []


def test_ticks_begin_with_the_run():
    chart = waterfall(profile(span(1, "queue", 97.5, 100, kind="queue"), span(2, "a", 100, 110)))
    assert [tick.value for tick in chart.ticks] == [0.0, 5.0, 10.0]
    assert chart.ticks[0].at_pct == chart.run_x_pct


times = st.floats(0, 1000, allow_nan=False)


@given(st.lists(st.tuples(times, times), max_size=30), times)
def test_every_bar_lies_within_the_chart(pairs, total_s):
    spans = [
        span(at + 1, "s", 1000 - first, 1000 - first + length, kind="queue" if at == 0 else "cpu")
        for at, (first, length) in enumerate(pairs)
    ]
    for row in waterfall(profile(*spans, start_s=1000.0, end_s=1000.0 + total_s)).rows:
        assert row.width_pct > 0
        assert row.x_pct >= -1e-9
        assert row.x_pct + row.width_pct <= 100 + 1e-9


@given(st.floats(-1e4, 1e4), st.floats(1e-3, 1e4), st.integers(2, 9))
def test_ticks_are_even_and_few(low, length, most):
    ticks = Scale(low, low + length).ticks(most)
    assert len(ticks) <= most + 1
    gaps = [b.value - a.value for a, b in pairwise(ticks)]
    assert gaps == pytest.approx([gaps[0]] * len(gaps) if gaps else [])
    assert all(low - 1e-6 <= tick.value <= low + length + 1e-6 for tick in ticks)


def test_axis_without_length_has_no_ticks():
    assert Scale(2.0, 2.0).ticks() == []
    assert Scale(2.0, 2.0).percent(2.0) == 0.0


def test_bars_stand_side_by_side_and_share_a_scale():
    first, second, third = bars([2.0, None, 8.0])
    assert (first.height_pct, first.y_pct) == (25.0, 75.0)
    assert (second.value, second.height_pct) == (None, 0.0)
    assert third.height_pct == 100.0
    assert first.x_pct + first.width_pct < second.x_pct
    assert third.x_pct + third.width_pct < 100.0


def test_bars_of_nothing():
    assert bars([]) == []
    assert [bar.height_pct for bar in bars([0.0, 0.0])] == [0.0, 0.0]


def test_every_size_has_a_bin_so_that_the_axis_stays_true():
    found = histogram([4, 1, 1, 4, 4, 4])
    assert [(b.label, b.count) for b in found] == [("1", 2), ("2", 0), ("3", 0), ("4", 4)]
    assert [b.bar.height_pct for b in found] == [50.0, 0.0, 0.0, 100.0]


def test_large_sizes_are_counted_in_ranges_that_double():
    found = histogram([1, 3, 13, 16])
    assert [b.label for b in found] == ["1", "2 to 3", "4 to 7", "8 to 15", "16 to 31"]
    assert [b.count for b in found] == [1, 1, 0, 1, 1]


def test_histogram_of_nothing():
    assert histogram([]) == []


@given(st.lists(st.integers(1, 500), max_size=40))
def test_every_size_is_counted_once(sizes):
    found = histogram(sizes)
    assert sum(b.count for b in found) == len(sizes)
    assert len(found) <= MOST_SINGLE
    assert [b.low for b in found[1:]] == [b.high + 1 for b in found[:-1]]


def test_before_and_after_share_one_scale():
    chart = before_after(compare_runs([{"a": 4.0, "b": 1.0}] * 5, [{"a": 2.0, "b": 1.0}] * 5))
    first, second = chart.rows
    assert (first.name, second.name) == ("a", "b")
    assert first.before.width_pct == WIDEST_PCT
    assert first.after.width_pct == WIDEST_PCT / 2
    assert second.before.width_pct == second.after.width_pct == WIDEST_PCT / 4
    assert first.ratio.ratio == 0.5
    assert second.y_px > first.y_px


def test_stage_of_one_side_has_one_bar_and_no_ratio():
    chart = before_after(compare_runs([{"a": 1.0}], [{"a": 1.0, "b": 2.0}]))
    added = chart.rows[0]
    assert (added.name, added.before.elapsed_s, added.before.width_pct) == ("b", None, 0.0)
    assert (added.after.elapsed_s, added.after.width_pct) == (2.0, WIDEST_PCT)
    assert added.ratio is None


def test_stages_that_moved_least_are_left_out_of_the_picture():
    times = {f"s{n}": 1.0 for n in range(20)}
    chart = before_after(compare_runs([times], [{n: t + int(n[1:]) for n, t in times.items()}]))
    assert [row.name for row in chart.rows[:2]] == ["s19", "s18"]
    assert len(chart.rows) == MAX_PAIRS
    assert chart.left_out == 20 - MAX_PAIRS
