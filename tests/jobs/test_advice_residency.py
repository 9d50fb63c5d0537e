from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

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


TWO = beat(model("shape"), model("texture"))
THRASH = [restored(10 * n, ("shape", "texture")[n % 2]) for n in range(10)]


def advice_on(figures, total_s=8.0):
    return recommend(Evidence(job=JobTimes(total_s, 10), residency=figures))


def test_two_models_that_swap_with_every_job_are_found():
    figures = residency_figures([TWO], THRASH, runs_every(10), QUEUE)
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
    assert advice_on(residency_figures([TWO], moves, runs_every(10), queue)) == []


def test_models_that_fit_and_yet_leave_while_idle():
    fitting = beat(model("shape"), model("texture"), available_mb=6000.0, models_mb=6000.0)
    figures = residency_figures([fitting], [], runs_every(100))
    assert figures.all_fit is True
    assert figures.gaps_s == pytest.approx([92.0] * 9)
    [advice] = advice_on(figures)
    assert (advice.rule, advice.action.new) == (RuleId.IDLE_TIMEOUT, -1.0)
    assert advice.gain.s_per_job == pytest.approx(4.0)


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
    assert advice_on(residency_figures([told], [], runs_every(100))) == []


def test_cold_jobs_are_those_that_load_for_a_quarter_of_their_time():
    warm, cold = runs_every(10, 7, load_s=1.0), runs_every(10, 3, load_s=3.0)
    figures = residency_figures([], [], [*warm, *cold])
    assert (figures.cold_jobs, figures.load_s) == (pytest.approx(0.3), 3.0)
    assert advice_on(figures)[0].rule is RuleId.COLD_START
    unknown = residency_figures([], [], runs_every(10, 7, load_s=None))
    assert (unknown.cold_jobs, unknown.load_s) == (None, None)
    assert residency_figures([TWO], THRASH, []) is None
