from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from backend.jobs import evidence_residency
from backend.jobs.evidence_residency import residency_figures
from backend.profiling.advice.evidence import Evidence, JobTimes, QueueFigures
from backend.profiling.advice.ranking import recommend
from backend.profiling.advice.rule_id import RuleId
from backend.units import iso
from tests.profiling.made_runs import DAY, made_run

QUEUE = QueueFigures(10, 40.0, waiting=4.0, arrivals_per_s=0.1, gpu_busy=1.0)


def model(name, **fields):
    base = {
        "name": name,
        "size_mb": 6000.0,
        "conduct": "one_at_a_time",
        "loads": 1,
        "restores": 5,
        "evictions": 5,
        "last_restore": {"elapsed_s": 4.0},
    }
    return base | fields


def beat(*models, available_mb=1000.0, models_mb=6000.0, idle_offload_s=60.0):
    budget = {"available_mb": available_mb, "models_mb": models_mb}
    residency = {"idle_offload_s": idle_offload_s, "budget": budget}
    return {"queue": "gpu", "models": list(models), "residency": residency}


def restored(second, name, worker="a"):
    at = iso(DAY + timedelta(seconds=second))
    return {
        "kind": "move", "worker": worker, "at": at, "model": name,
        "from": "restoring", "to": "resident",
    }  # fmt: skip


def runs_every(seconds, count=10, work_s=8.0, **fields):
    return [
        made_run({"shape": work_s}, started_at=DAY + timedelta(seconds=n * seconds), **fields)
        for n in reversed(range(count))
    ]


def left(second, name, reason="idle", worker="a"):
    at = iso(DAY + timedelta(seconds=second))
    return {
        "kind": "move", "worker": worker, "at": at, "model": name,
        "from": "resident", "to": "draining", "reason": reason,
    }  # fmt: skip


def others_between(alike, pause_s, count, work_s=8.0):
    """Runs of other work, so many after each."""
    return [
        made_run(
            {"shape": work_s}, shape_key="other",
            started_at=run.started_at + timedelta(seconds=pause_s * (1 + place)),
        )
        for run in alike
        for place in range(count)
    ]  # fmt: skip


TWO = beat(model("shape"), model("texture"))
FITTING = beat(model("shape"), model("texture"), available_mb=6000.0, models_mb=6000.0)
CAME_BACK = [left(60, "shape"), restored(100, "shape")]
THRASH = [restored(10 * n, ("shape", "texture")[n % 2]) for n in range(10)]


def advice_on(figures, total_s=8.0):
    return recommend(Evidence(job=JobTimes(total_s, 10), residency=figures))


def figures_of(told, moves, alike, others=(), queue=None):
    return residency_figures([told], moves, alike, [*alike, *others], queue)


def test_two_models_that_swap_with_every_job_are_found():
    figures = figures_of(TWO, THRASH, runs_every(10), queue=QUEUE)
    # The first of each is no swap; with 4 more waiting, one change of model per 5 jobs suffices.
    assert (figures.models, figures.swaps_per_job) == (2, pytest.approx(0.8))
    assert figures.grouped_swaps_per_job == pytest.approx(0.2)
    [advice] = advice_on(figures)
    assert advice.rule is RuleId.MODEL_THRASH
    assert advice.gain.s_per_job == pytest.approx((0.8 - 0.2) * 4.0)
    assert not advice.action.available


@pytest.mark.parametrize(
    ("moves", "queue"),
    [
        ([restored(10 * n, "shape") for n in range(10)], QUEUE),  # it left for idleness
        (THRASH, replace(QUEUE, waiting=0.0)),  # nothing waits that could be grouped
        (THRASH, replace(QUEUE, waiting=None)),
        (THRASH, None),
        ([], QUEUE),
        ([restored(-100 - n, ("shape", "texture")[n % 2]) for n in range(10)], QUEUE),  # long ago
        # each worker keeps a model of its own
        ([restored(n, ("shape", "texture")[n % 2], "ab"[n % 2]) for n in range(10)], QUEUE),
    ],
)
def test_models_that_do_not_thrash_are_left_alone(moves, queue):
    assert advice_on(figures_of(TWO, moves, runs_every(10), queue=queue)) == []


def test_swaps_are_of_all_jobs_that_could_have_made_them():
    """One job in ten is of this work; all of them swap, which is one swap per job, not ten."""
    alike = runs_every(100)
    others = others_between(alike, 10, 9, work_s=9.0)
    moves = [restored(10 * n, ("shape", "texture")[n % 2]) for n in range(100)]
    figures = figures_of(TWO, moves, alike, others, QUEUE)
    assert figures.swaps_per_job == pytest.approx(98 / 100)
    [advice] = advice_on(figures)
    assert advice.gain.s_per_job == pytest.approx((0.98 - 0.2) * 4.0)


def test_swaps_and_jobs_are_counted_over_the_same_time():
    alike = runs_every(100)
    # The last runs of any work reach back to the sixth of these only.
    recent = [run for run in alike if run.started_at >= DAY + timedelta(seconds=500)]
    moves = [restored(100 * n + 1, ("shape", "texture")[n % 2]) for n in range(10)]
    figures = residency_figures([TWO], moves, alike, recent, QUEUE)
    assert figures.swaps_per_job == pytest.approx(3 / 5)
    few = residency_figures([TWO], moves, alike, recent[1:], QUEUE)
    assert few.swaps_per_job is None


def test_before_the_oldest_move_that_is_kept_nothing_is_known(monkeypatch):
    monkeypatch.setattr(evidence_residency, "KEPT_MOVES", 5)
    moves = [restored(10 * n, ("shape", "texture")[n % 2]) for n in range(5, 10)]
    figures = figures_of(TWO, moves, runs_every(10), queue=QUEUE)
    assert figures.swaps_per_job == pytest.approx(3 / 5)


def test_models_that_fit_and_yet_leave_while_idle():
    figures = figures_of(FITTING, CAME_BACK, runs_every(100))
    assert figures.all_fit is True
    assert figures.gaps_s == pytest.approx([92.0] * 9)
    [advice] = advice_on(figures)
    assert (advice.rule, advice.action.new) == (RuleId.IDLE_TIMEOUT, -1.0)
    assert advice.gain.s_per_job == pytest.approx(4.0)


def test_a_queue_that_is_busy_with_other_work_leaves_no_model_idle():
    alike = runs_every(100)
    figures = figures_of(FITTING, CAME_BACK, alike, others_between(alike, 20, 4))
    assert figures.gaps_s == pytest.approx([12.0] * 49)
    assert advice_on(figures) == []


def test_a_run_beside_a_longer_one_begins_without_a_gap():
    long, short = ({"shape": seconds} for seconds in (500.0, 5.0))
    starts = {0: long, 100: short, 600: short}
    runs = [made_run(s, started_at=DAY + timedelta(seconds=at)) for at, s in starts.items()]
    moves = [left(60, "shape"), restored(600, "shape")]
    assert figures_of(FITTING, moves, runs).gaps_s == pytest.approx([0.0, 100.0])


@pytest.mark.parametrize(
    "moves",
    [
        [],
        [restored(100, "shape")],
        [left(60, "shape"), restored(100, "texture")],
        [left(60, "shape", "evict"), restored(100, "shape")],
        [left(60, "shape"), restored(100, "shape", worker="b")],
        [left(60, "shape")],
        [left(-90, "shape"), restored(-80, "shape")],  # before these runs
    ],
)
def test_without_a_restore_after_idleness_the_timer_is_not_blamed(moves):
    figures = figures_of(FITTING, moves, runs_every(100))
    assert figures.gaps_s == ()
    assert advice_on(figures) == []


@pytest.mark.parametrize(
    "told",
    [
        beat(model("shape"), model("texture")),  # 7000 MB for 12 000
        beat(model("shape", conduct="resident"), available_mb=6000.0),  # it never leaves
        beat(model("shape", size_mb=None), available_mb=6000.0),
        beat(model("shape", loads=0), available_mb=6000.0),
        beat(),
    ],
)
def test_idle_models_are_no_matter_where_they_must_or_do_not_leave(told):
    assert advice_on(figures_of(told, CAME_BACK, runs_every(100))) == []


def test_cold_jobs_are_those_that_load_for_a_quarter_of_their_time():
    warm, cold = runs_every(10, 7, load_s=1.0), runs_every(10, 3, load_s=3.0)
    figures = residency_figures([], [], [*warm, *cold], [])
    assert (figures.cold_jobs, figures.load_s) == (pytest.approx(0.3), 3.0)
    assert advice_on(figures)[0].rule is RuleId.COLD_START
    unknown = residency_figures([], [], runs_every(10, 7, load_s=None), [])
    assert (unknown.cold_jobs, unknown.load_s) == (None, None)
    assert residency_figures([TWO], THRASH, [], runs_every(10)) is None
