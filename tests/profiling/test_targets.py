from __future__ import annotations

from dataclasses import replace

import pytest

from backend.profiling import targets
from backend.profiling.history import RunHistory
from backend.profiling.run_summary import RunStage, RunStatus
from backend.profiling.targets import TargetState, judge_targets
from tests.jobs.conftest import ScriptedClock
from tests.profiling.made_runs import made_profile, made_run


def judged(runs):
    return {result.target.id: result for result in judge_targets(runs)}


def test_without_runs_nothing_is_measured():
    results = judged([])
    assert {result.state for result in results.values()} == {TargetState.NOT_MEASURED}
    assert all(result.measured is None and result.n == 0 for result in results.values())
    assert len(results) == 13


@pytest.mark.parametrize(
    ("elapsed_s", "state"), [(60.0, TargetState.MET), (60.1, TargetState.MISSED)]
)
def test_a_time_is_met_by_its_median(elapsed_s, state):
    result = judged([made_run({"shape": elapsed_s}) for _ in range(5)])["image_warm"]
    assert (result.state, result.measured, result.n) == (state, pytest.approx(elapsed_s), 5)
    assert result.engines == ("inflate",)


def test_four_runs_are_shown_but_settle_nothing():
    result = judged([made_run({"shape": 1.0}) for _ in range(4)])["image_warm"]
    assert (result.state, result.measured, result.n) == (TargetState.NOT_MEASURED, 1.0, 4)


def test_cold_and_warm_runs_are_told_apart():
    cold = [made_run({"shape": 90.0}, load_s=40.0) for _ in range(5)]
    warm = [made_run({"shape": 30.0}) for _ in range(5)]
    results = judged(cold + warm + [made_run({"shape": 500.0}, load_s=None)])
    assert results["image_cold"].state is TargetState.MISSED
    assert results["image_warm"].measured == 30.0
    assert (results["startup"].state, results["startup"].measured) == (TargetState.MISSED, 40.0)


def test_parts_need_both_stages_in_one_run():
    both = [made_run({"part_segmentation": 10.0, "part_generation": 40.0}) for _ in range(5)]
    single = [made_run({"part_segmentation": 20.0}) for _ in range(6)]
    results = judged(both + single)
    assert results["part_segmentation"].state is TargetState.MISSED
    assert results["part_generation"].state is TargetState.MET
    assert (results["parts_total"].measured, results["parts_total"].n) == (50.0, 5)


def test_memory_is_the_largest_peak_and_unknown_without_one():
    def run(peak_mb):
        stage = RunStage("shape", "gpu", 1.0, None, None, peak_mb)
        return replace(made_run({}), stages=(stage,))

    result = judged([run(9000.0)] * 4 + [run(10_241.0), run(None)])["vram"]
    assert (result.state, result.measured, result.n) == (TargetState.MISSED, 10_241.0, 5)
    assert judged([run(9000.0)] * 5)["vram"].state is TargetState.MET


def test_success_counts_failures_but_not_cancellations_nor_other_pipelines():
    good = [made_run({"a": 1.0}) for _ in range(19)]
    bad = [made_run({"a": 1.0}, status=RunStatus.FAILED)]
    stopped = [made_run({"a": 1.0}, status=RunStatus.CANCELED) for _ in range(9)]
    other = [made_run({"a": 1.0}, pipeline="cut_out", status=RunStatus.FAILED) for _ in range(9)]
    result = judged(good + bad + stopped + other)["success_rate"]
    assert (result.state, result.measured, result.n) == (TargetState.MET, 95.0, 20)
    worse = judged(good + bad * 2)["success_rate"]
    assert worse.state is TargetState.MISSED
    assert judged(good[:18] + bad)["success_rate"].state is TargetState.NOT_MEASURED


def test_stored_runs_are_judged_again_only_after_a_new_one(tmp_path, monkeypatch):
    history = RunHistory(f"sqlite:///{tmp_path / 'runs.sqlite3'}", ScriptedClock())
    judged_runs = []
    judge = targets.judge_targets
    monkeypatch.setattr(
        targets, "judge_targets", lambda runs: judged_runs.append(len(runs)) or judge(runs)
    )

    def warm_runs():
        found = {item["id"]: item for item in targets.judged_targets(history)}
        return found["image_warm"]["n"]

    for count in (1, 2):
        history.record(
            made_profile({"shape": 1.0}), job_id=None, pipeline="image_to_3d", engine={},
            settings={}, shape_key="k", batch_size=1,
        )  # fmt: skip
        assert warm_runs() == warm_runs() == count
    assert judged_runs == [1, 2]
    history.close()
