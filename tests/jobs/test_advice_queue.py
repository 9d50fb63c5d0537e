from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from backend.jobs.evidence_batches import batch_figures
from backend.jobs.evidence_queue import queue_figures
from backend.profiling.run_summary import RunStatus, noted_text
from tests.profiling.made_runs import DAY, made_run

IMAGE, CUT_OUT = "image_to_3d", "cut_out"


def run(start_s, work_s, wait_s, pipeline=IMAGE, **fields):
    begun = DAY + timedelta(seconds=start_s)
    return made_run(
        {"shape": work_s}, pipeline=pipeline, queue_s=wait_s, started_at=begun, **fields
    )


def test_without_a_known_wait_nothing_is_said_of_the_queue():
    assert queue_figures(IMAGE, []) is None
    assert queue_figures(IMAGE, [run(0, 10.0, None)]) is None


def test_a_burst_of_jobs_is_told_by_littles_law():
    """Three jobs come at once and run one after the other for 10 s each."""
    figures = queue_figures(IMAGE, [run(20, 10.0, 20.0), run(10, 10.0, 10.0), run(0, 10.0, 0.0)])
    assert (figures.n, figures.wait_s) == (3, 10.0)
    assert figures.arrivals_per_s == pytest.approx(3 / 30)
    assert figures.waiting == pytest.approx(30 / 30)
    assert figures.arrivals_per_s * 10.0 == pytest.approx(figures.waiting)
    assert figures.gpu_busy == pytest.approx(1.0)


def test_how_busy_the_worker_is_counts_only_while_jobs_wait():
    """One job waits 8 s although the worker rests for 6 of them; then nobody waits for an hour."""
    runs = [run(3600, 10.0, 0.0), run(8, 10.0, 8.0), run(0, 2.0, 0.0)]
    assert queue_figures(IMAGE, runs).gpu_busy == pytest.approx(2 / 8)


def test_two_workers_are_busy_only_if_both_are():
    runs = [run(10, 10.0, 10.0), run(0, 10.0, 0.0)]
    assert queue_figures(IMAGE, runs, workers=1).gpu_busy == pytest.approx(1.0)
    assert queue_figures(IMAGE, runs, workers=2).gpu_busy == pytest.approx(0.5)
    both = [run(10, 10.0, 10.0), run(0, 10.0, 0.0), run(0, 10.0, 0.0)]
    assert queue_figures(IMAGE, both, workers=None).gpu_busy == pytest.approx(1.0)


def test_other_work_of_the_same_worker_counts_as_busy_and_that_of_another_does_not():
    failed = run(0, 10.0, 0.0, status=RunStatus.FAILED)
    elsewhere = run(0, 10.0, 500.0, pipeline=CUT_OUT)
    waits = run(10, 10.0, 10.0)
    assert queue_figures(IMAGE, [waits, failed, elsewhere]).gpu_busy == pytest.approx(1.0)
    assert queue_figures(IMAGE, [waits, elsewhere]).gpu_busy == pytest.approx(0.0)
    assert queue_figures(IMAGE, [waits, failed, elsewhere]).n == 2


def test_yesterday_does_not_thin_out_today():
    yesterday = run(-86_400, 10.0, 5.0)
    today = [run(10, 10.0, 10.0), run(0, 10.0, 0.0)]
    assert queue_figures(IMAGE, [*today, yesterday]) == queue_figures(IMAGE, today)


def batch(size, total_s):
    return made_run({"shape": total_s}, batch_size=size)


def test_batches_are_compared_with_the_best_larger_size():
    runs = [*[batch(1, 10.0)] * 5, *[batch(4, 24.0)] * 6, *[batch(8, 72.0)] * 5]
    figures = batch_figures(runs)
    assert (figures.size, figures.larger_size, figures.fits, figures.n) == (1, 4, True, 5)
    assert (figures.batch_s, figures.larger_batch_s) == (10.0, 24.0)


@pytest.mark.parametrize(
    "runs",
    [
        [],
        [batch(1, 10.0)] * 9,
        [*[batch(1, 10.0)] * 5, *[batch(4, 24.0)] * 4],  # too few of the larger
        [*[batch(4, 24.0)] * 5, *[batch(1, 10.0)] * 5],  # the larger is in use
        [batch(None, 10.0)] * 9,
    ],
)
def test_one_size_alone_says_nothing_of_batches(runs):
    assert batch_figures(runs) is None


def test_waiting_for_the_device_says_nothing_of_a_batch():
    """Larger batches are formed while the device is busy, so just they wait for it."""
    waited = noted_text({"wait": {"elapsed_s": 16.0}})
    large = batch(4, 40.0)
    large = replace(large, stages=(replace(large.stages[0], noted=waited),))
    figures = batch_figures([*[batch(1, 10.0)] * 5, *[large] * 6])
    assert (figures.batch_s, figures.larger_batch_s) == (10.0, 24.0)
