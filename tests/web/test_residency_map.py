from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from backend.units import iso
from backend.web.charts.residency_map import MAX_ROWS, Place, residency_map

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
OLD, NEW = "kiln:1:1", "kiln:2:1"


def at(minutes_ago):
    return iso(NOW - timedelta(minutes=minutes_ago))


def start(minutes_ago, *models, worker=OLD, card="kiln:0"):
    return {"kind": "start", "at": at(minutes_ago), "models": list(models or ("shape",)),
            "worker": worker, "card": card}  # fmt: skip


def move(minutes_ago, before, after, model="shape", worker=OLD, card="kiln:0", on_gpu=True):
    told = {"model": model, "from": before, "to": after, "reason": "wanted", "seq": 1}
    signed = {"on_gpu": on_gpu, "worker": worker, "card": card}
    return {"kind": "move", "at": at(minutes_ago)} | told | signed


def drawn(entries, alive=(OLD,), titles=None):
    return residency_map(entries, titles or {}, alive, NOW)


def bands(row):
    return [(band.place, round(band.x_pct, 1), round(band.width_pct, 1)) for band in row.bands]


def test_a_model_goes_from_disk_to_the_gpu_and_back_to_host_memory():
    entries = [
        start(60),
        move(45, "unloaded", "loading"),
        move(30, "loading", "host"),
        move(30, "host", "restoring"),
        move(29.9, "restoring", "resident"),
        move(15, "resident", "offloading"),
        move(15, "offloading", "host"),
    ]
    (row,) = drawn(entries).rows
    assert bands(row) == [
        (Place.DISK, 0.0, 50.0), (Place.HOST, 50.0, 0.3), (Place.GPU, 50.0, 25.0),
        (Place.HOST, 75.0, 25.0),
    ]  # fmt: skip
    assert [(round(s.x_pct), s.is_arrival) for s in row.swaps] == [
        (50, True), (50, True), (75, False),
    ]  # fmt: skip
    assert row.now is Place.HOST


def test_without_a_gpu_a_ready_model_is_in_host_memory():
    entries = [start(60, card=None), move(30, "restoring", "resident", card=None, on_gpu=False)]
    (row,) = drawn(entries).rows
    assert [band.place for band in row.bands] == [Place.DISK, Place.HOST]


def test_models_of_a_process_that_was_replaced_are_gone_from_its_card():
    entries = [
        start(60),
        move(50, "host", "resident"),
        start(30, worker=NEW),
        move(15, "host", "resident", worker=NEW),
    ]
    (row,) = drawn(entries, alive=[NEW]).rows
    assert bands(row)[1:] == [
        (Place.GPU, 16.7, 33.3), (Place.DISK, 50.0, 25.0), (Place.GPU, 75.0, 25.0),
    ]  # fmt: skip


def test_nothing_is_claimed_after_the_last_word_of_a_worker_that_is_gone():
    (row,) = drawn([start(60), move(30, "host", "resident")], alive=()).rows
    assert bands(row) == [(Place.DISK, 0.0, 50.0), (Place.GPU, 50.0, 0.3)]
    assert row.now is None


def test_a_start_that_is_not_kept_any_more_leaves_the_place_before_the_first_move():
    entries = [
        start(60, "other"),
        move(30, "resident", "offloading"),
        move(30, "offloading", "host"),
    ]
    row = next(row for row in drawn(entries).rows if row.model == "shape")
    assert bands(row) == [(Place.GPU, 0.0, 50.0), (Place.HOST, 50.0, 50.0)]


def test_several_workers_without_a_card_share_a_row_and_the_nearest_place_counts():
    alike = {"card": None, "on_gpu": False}
    entries = [
        start(60, card=None),
        start(60, card=None, worker=NEW),
        move(45, "host", "resident", **alike),
        move(30, "host", "resident", worker=NEW, **alike),
        move(15, "releasing", "unloaded", **alike),
    ]
    (row,) = drawn(entries, alive=[OLD, NEW]).rows
    assert bands(row) == [(Place.DISK, 0.0, 25.0), (Place.HOST, 25.0, 75.0)]


def test_two_cards_are_two_rows():
    entries = [start(10), start(10, worker=NEW, card="kiln:1")]
    rows = drawn(entries, alive=[OLD, NEW]).rows
    assert [(row.model, row.card) for row in rows] == [("shape", "kiln:0"), ("shape", "kiln:1")]


@pytest.mark.parametrize(("minutes_ago", "shown"), [(1, 5), (20, 20), (300, 60)])
def test_the_window_fits_what_there_is_within_limits(minutes_ago, shown):
    chart = drawn([start(minutes_ago)])
    assert chart.window_min == pytest.approx(shown)
    assert all(-shown <= tick.value <= 0 for tick in chart.ticks)


def test_moves_are_told_newest_first_and_rows_are_bounded():
    models = [f"model{n:02}" for n in range(MAX_ROWS + 3)]
    entries = [start(10, *models), move(5, "loading", "host", "model00"),
               move(4, "host", "resident", "model00")]  # fmt: skip
    chart = drawn(entries, titles={"model00": "Shape model"})
    assert (len(chart.rows), chart.left_out) == (MAX_ROWS, 3)
    assert chart.rows[0].title == "Shape model"
    assert [told["place"] for told in chart.moves] == ["gpu", "host"]


def test_no_moves_no_rows():
    assert drawn([]).rows == []
