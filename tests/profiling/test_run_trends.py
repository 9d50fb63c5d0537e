from __future__ import annotations

import random
from dataclasses import replace

from backend.profiling.regression import Verdict
from backend.profiling.run_summary import RunStatus, noted_text
from backend.profiling.run_trends import stage_figures, trends
from tests.profiling.made_runs import made_run


def noisy_runs(count, slow_from=None, factor=1.0, **fields):
    """Newest first; the runs from a number on are slower in one stage."""
    chance = random.Random(7)
    runs = []
    for number in range(count):
        slow = factor if slow_from is not None and number >= slow_from else 1.0
        stages = {"shape": chance.gauss(4.0, 0.1) * slow, "export": chance.gauss(1.0, 0.02)}
        runs.append(made_run(stages, number, **fields))
    return runs[::-1]


def test_twenty_slower_runs_are_a_regression_and_the_stage_is_named():
    runs = noisy_runs(60, slow_from=40, factor=1.3)
    (trend,) = trends(runs)
    assert trend.verdict is Verdict.SLOWER
    assert 1.18 < trend.interval.low < trend.interval.ratio < trend.interval.high < 1.30
    assert (trend.interval.n_before, trend.interval.n_after) == (40, 20)
    assert {f.stage: f.trend for f in stage_figures(runs)} == {
        "shape": Verdict.SLOWER,
        "export": Verdict.NO_DIFFERENCE,
    }


def test_twenty_faster_runs_are_told_too():
    (trend,) = trends(noisy_runs(60, slow_from=40, factor=0.7))
    assert trend.verdict is Verdict.FASTER


def test_one_slow_last_run_is_no_regression():
    runs = noisy_runs(60, slow_from=59, factor=3.0)
    (trend,) = trends(runs)
    assert trend.verdict is Verdict.NO_DIFFERENCE


def test_too_few_runs_before_give_no_verdict():
    (trend,) = trends(noisy_runs(29, slow_from=9, factor=2.0))
    assert trend.verdict is Verdict.TOO_FEW
    (first,) = trends(noisy_runs(3))
    assert (first.verdict, first.interval) == (Verdict.TOO_FEW, None)
    assert first.to_document()["ratio"] is None


def test_unlike_work_and_bad_runs_are_kept_apart():
    runs = [
        *noisy_runs(3, shape_key="small"),
        *noisy_runs(5, shape_key="large"),
        *noisy_runs(9, status=RunStatus.FAILED),
    ]
    found = [(trend.shape_key, trend.total.n) for trend in trends(runs)]
    assert found == [("large", 5), ("small", 3)]
    assert trends([]) == []
    assert stage_figures([]) == []


def test_percentiles_appear_only_when_the_runs_carry_them():
    few = {f.stage: f for f in stage_figures(noisy_runs(28))}["shape"].to_document()
    assert (few["elapsed_s"]["n"], few["elapsed_s"]["p90"]) == (28, None)
    many = {f.stage: f for f in stage_figures(noisy_runs(29))}["shape"].to_document()
    assert many["elapsed_s"]["p90"] is not None
    assert many["elapsed_s"]["p95"] is None


def test_shares_are_of_the_runs_that_had_the_stage():
    runs = [made_run({"shape": 3.0, "export": 1.0}, 1), made_run({"shape": 4.0}, 0)]
    figures = {f.stage: f for f in stage_figures(runs)}
    assert figures["shape"].share_pct == 87.5
    assert figures["export"].share_pct == 25.0
    assert figures["export"].elapsed.n == 1


def test_runs_in_larger_company_are_no_regression():
    """Each takes longer by nature, however fast the server is."""
    alone = noisy_runs(40)
    batches = [made_run({"shape": 12.0 + n / 100, "export": 1.0}, 90 + n, batch_size=4)
               for n in range(25)]  # fmt: skip
    runs = [*batches[::-1], *alone]
    (trend,) = trends(runs)
    assert trend.verdict is Verdict.TOO_FEW
    assert trend.total.n == 65
    assert Verdict.SLOWER not in {figures.trend for figures in stage_figures(runs)}
    slow = [made_run({"shape": 24.0 + n / 100, "export": 1.0}, 200 + n, batch_size=4)
            for n in range(20)]  # fmt: skip
    (trend,) = trends([*slow[::-1], *runs])
    assert trend.verdict is Verdict.SLOWER, "those of the same company are compared"
    assert trend.interval.n_before == 25


def test_waiting_for_the_device_is_no_regression():
    """While two claims overlap, the one that waits takes longer on the clock only."""
    waits = [made_run({"shape": 9.0 + n / 100, "export": 1.0}, 90 + n) for n in range(20)]
    for run in waits:
        noted = noted_text({"wait": {"elapsed_s": 5.0}})
        shape, export = run.stages
        object.__setattr__(run, "stages", (replace(shape, noted=noted), export))
    runs = [*waits[::-1], *noisy_runs(40)]
    (trend,) = trends(runs)
    assert trend.verdict is Verdict.NO_DIFFERENCE
    assert {figures.trend for figures in stage_figures(runs)} == {Verdict.NO_DIFFERENCE}
    assert waits[0].worked_s == waits[0].total_s - 5.0
