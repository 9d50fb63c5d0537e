"""A kind of work that nobody runs any more does not keep its setting from all others."""

from __future__ import annotations

import pytest

from backend.errors import AdviceOutdated, ExperimentRunning
from backend.jobs.proposal import Proposal
from backend.jobs.tuning_store import TuningStore
from backend.profiling.experiment import ExperimentState

SETTING = "export_compression"
WORK = {"pipeline": "image_to_3d", "shape_key": "image_to_3d:rare"}
OTHER = {"pipeline": "image_to_3d", "shape_key": "image_to_3d:standard"}
ADVICE = Proposal("slow_encoding.mesh_export", "Compress less", SETTING, 1, 0.4)


@pytest.fixture
def tuning(store, clock):
    return TuningStore(store.engine, clock, {SETTING: 9})


@pytest.fixture
def trial(tuning):
    return tuning.apply(ADVICE, old=9, **WORK)


def test_a_trial_that_is_in_the_way_is_named_with_its_work_and_age(tuning, trial):
    tuning.values_for("job", **WORK)
    tuning.measured("job", 1.0)
    with pytest.raises(ExperimentRunning) as refused:
        tuning.apply(ADVICE, old=9, **OTHER)
    said = refused.value.detail
    for part in (SETTING, "Compress less", *WORK.values(), trial.id, "begun 2026-11-21", "0 of"):
        assert part in said
    assert "14 days" in refused.value.advice


def test_a_trial_without_reports_makes_way(tuning, trial, clock):
    clock.forward(days=13)
    with pytest.raises(ExperimentRunning):
        tuning.apply(ADVICE, old=9, **OTHER)
    clock.forward(days=2)
    assert tuning.apply(ADVICE, old=9, **OTHER).experiment.state is ExperimentState.APPLIED
    first = tuning.experiments()[1].to_document()
    assert (first["id"], first["state"], first["reason"]) == (trial.id, "auto_reverted", "expired")
    assert first["decided_at"] == "2026-12-05T00:00:00.001Z", "when it ended, not when it was seen"


def test_each_report_gives_it_another_fortnight(tuning, trial, clock):
    for number in range(4):
        clock.forward(days=10)
        tuning.values_for(f"job{number}", **WORK)
        tuning.measured(f"job{number}", 1.0)
    assert tuning.experiments()[0].experiment.state is ExperimentState.APPLIED
    assert tuning.experiments()[0].to_document()["pairs_done"] == 2
    clock.forward(days=15)
    ended = tuning.experiments()[0].to_document()
    assert (ended["reason"], ended["pairs_done"]) == ("expired", 2), "what was measured stays known"


def test_looking_tells_it_before_anybody_writes_it_down(tuning, trial, clock):
    clock.forward(days=15)
    assert tuning.experiments()[0].to_document()["state"] == "auto_reverted"
    assert tuning.tests(**WORK) == {}, "its advice is as if it had never been tried"


def test_a_job_that_comes_after_all_runs_with_the_old_value(tuning, trial, clock):
    clock.forward(days=15)
    for number in range(4):
        assert tuning.values_for(f"late{number}", **WORK) == {}
        assert tuning.measured(f"late{number}", 1.0) is None
    with pytest.raises(AdviceOutdated):
        tuning.revert(trial.id)
    assert tuning.tests(**WORK) == {}
    assert tuning.apply(ADVICE, old=9, **WORK).experiment.state is ExperimentState.APPLIED


def test_a_report_that_comes_after_the_end_revives_nothing(tuning, trial, clock):
    tuning.values_for("slow", **WORK)
    clock.forward(days=15)
    tuning.measured("slow", 1.0)
    ended = tuning.experiments()[0].to_document()
    assert (ended["state"], ended["reason"], ended["pairs_done"]) == (
        "auto_reverted", "expired", 0
    )  # fmt: skip
