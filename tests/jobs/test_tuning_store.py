"""Settings in SQL and the trials that decide on them; no job runs here."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from backend.errors import (
    AdviceOutdated,
    ExperimentRunning,
    InvalidParameter,
    NotFound,
    OutOfMemory,
    StorageFull,
)
from backend.jobs.claims import Claims
from backend.jobs.proposal import Proposal
from backend.jobs.trial_places import REPORT_GRACE
from backend.jobs.tuning_store import TuningStore
from backend.jobs.tuning_table import METADATA
from backend.profiling.experiment import ExperimentState, RevertReason

WORK = {"pipeline": "image_to_3d", "shape_key": "image_to_3d:standard"}
SETTING = "export_compression"
ADVICE = Proposal("slow_encoding.mesh_export", "Compress less", SETTING, 1, 0.4)
STARTED = {
    SETTING: 9, "export_threads": 1, "residency": "auto",
    "idle_offload_s": 60.0, "idle_release_s": 600.0,
}  # fmt: skip


@pytest.fixture
def tuning(store, clock):
    return TuningStore(store.engine, clock, STARTED)


def begin(tuning, advice=ADVICE, old=9, **work):
    return tuning.apply(advice, old=old, **(WORK | work))


def run_jobs(tuning, seconds_of, n=10, first=0):
    """Run jobs one after the other; returns the values they ran with."""
    seen = []
    for number in range(first, first + n):
        job_id = f"job{number}"
        values = tuning.values_for(job_id, **WORK)
        seen.append(values.get(SETTING, STARTED[SETTING]))
        tuning.measured(job_id, seconds_of(seen[-1], number))
    return seen


def faster(value, number):
    return (1.0 if value == 1 else 1.5) + 0.01 * (number % 3)


def slower(value, number):
    return (1.5 if value == 1 else 1.0) + 0.01 * (number % 3)


def test_a_confirmed_value_comes_into_force_for_all_jobs(tuning):
    begun = begin(tuning)
    assert begun.to_document() | {"id": None, "applied_at": None} == {
        "id": None, "advice_id": "slow_encoding.mesh_export", **WORK, "title": "Compress less",
        "setting": SETTING, "from": 9, "to": 1, "state": "applied", "reason": None,
        "ratio": None, "ci": None, "pairs_done": 0, "pairs": 5,
        "applied_at": None, "decided_at": None,
    }  # fmt: skip
    seen = run_jobs(tuning, faster)
    assert sorted(seen) == [1] * 5 + [9] * 5
    (ended,) = tuning.experiments()
    document = ended.to_document()
    assert (document["state"], document["pairs_done"]) == ("confirmed", 5)
    assert document["ci"][0] > 1.3
    assert document["ratio"] == pytest.approx(1.5, rel=0.05)
    assert document["decided_at"] > document["applied_at"]
    assert tuning.values() == {SETTING: 1}
    assert tuning.values_for("other", "cut_out", "cut_out") == {SETTING: 1}
    assert run_jobs(tuning, faster, n=3, first=20) == [1, 1, 1]


def test_a_slower_value_is_taken_back(tuning):
    begin(tuning)
    run_jobs(tuning, slower)
    (ended,) = tuning.experiments()
    assert ended.experiment.state is ExperimentState.AUTO_REVERTED
    assert ended.experiment.reason is RevertReason.SLOWER
    assert tuning.values() == {}
    assert run_jobs(tuning, slower, n=3, first=20) == [9, 9, 9]


def test_without_a_difference_the_old_value_stays(tuning):
    begin(tuning)
    run_jobs(tuning, lambda _value, number: 1.0 + 0.001 * (number % 3), n=22)
    (ended,) = tuning.experiments()
    assert ended.experiment.state is ExperimentState.NO_EFFECT
    assert tuning.values() == {}


def test_only_jobs_of_the_same_kind_take_part(tuning):
    begin(tuning)
    for number in range(10):
        assert tuning.values_for(f"o{number}", "image_to_3d", "image_to_3d:draft") == {}
        assert tuning.measured(f"o{number}", 1.0) is None
    (running,) = tuning.experiments()
    assert all(slot.job_id is None for slot in running.experiment.slots)


def test_a_job_that_runs_again_keeps_its_place(tuning):
    begin(tuning)
    first = tuning.values_for("job", **WORK)
    assert tuning.values_for("job", **WORK) == first
    (running,) = tuning.experiments()
    assert [slot.job_id for slot in running.experiment.slots].count("job") == 1


def test_a_setting_is_on_trial_once(tuning):
    begin(tuning)
    with pytest.raises(ExperimentRunning):
        begin(tuning, advice=replace(ADVICE, new=3), shape_key="image_to_3d:draft")
    other = Proposal("cpu_in_the_way.mesh_export", "Use threads", "export_threads", 4, 0.2)
    begin(tuning, other, old=1)
    assert [e.experiment.setting for e in tuning.experiments()] == ["export_threads", SETTING]


def test_two_trials_of_one_kind_go_one_after_the_other(tuning):
    begin(tuning)
    other = Proposal("cpu_in_the_way.mesh_export", "Use threads", "export_threads", 4, 0.2)
    begin(tuning, other, old=1)
    for number in range(10):
        assert "export_threads" not in tuning.values_for(f"job{number}", **WORK)
        tuning.canceled(f"job{number}")
    run_jobs(tuning, faster, first=20)
    seen = []
    for number in range(4):
        seen.append(tuning.values_for(f"late{number}", **WORK).get("export_threads", 1))
        tuning.measured(f"late{number}", 1.0)
    assert sorted(seen) == [1, 1, 4, 4]


@pytest.mark.parametrize(
    ("advice", "old", "error"),
    [
        (replace(ADVICE, setting="precision"), "fp32", InvalidParameter),
        (replace(ADVICE, new=11), 9, InvalidParameter),
        (ADVICE, 1, AdviceOutdated),
    ],
)
def test_what_cannot_be_tried_is_refused(tuning, advice, old, error):
    with pytest.raises(error):
        begin(tuning, advice, old)
    assert tuning.experiments() == []


def test_revert_ends_a_trial(tuning):
    begun = begin(tuning)
    tuning.values_for("job", **WORK)
    assert tuning.revert(ADVICE.advice_id).experiment.state is ExperimentState.DISMISSED
    assert tuning.values_for("job", **WORK) == {}
    with pytest.raises(AdviceOutdated):
        tuning.revert(begun.id)
    with pytest.raises(NotFound):
        tuning.revert("good_already.job")


def test_revert_may_name_the_work(tuning):
    begin(tuning)
    tuning.set(SETTING, 9)
    other = "image_to_3d:draft"
    begin(tuning, shape_key=other)
    with pytest.raises(AdviceOutdated):
        tuning.revert(ADVICE.advice_id, **WORK)
    with pytest.raises(NotFound):
        tuning.revert(ADVICE.advice_id, "cut_out", other)
    assert tuning.experiments()[0].experiment.state is ExperimentState.APPLIED
    reverted = tuning.revert(ADVICE.advice_id, WORK["pipeline"], other)
    assert (reverted.shape_key, reverted.experiment.state.value) == (other, "dismissed")


def test_revert_brings_back_what_was_in_force_before(tuning):
    tuning.set(SETTING, 6)
    begun = begin(tuning, old=6)
    run_jobs(tuning, faster)
    assert tuning.values() == {SETTING: 1}
    reverted = tuning.revert(begun.id)
    assert reverted.experiment.state is ExperimentState.DISMISSED
    assert reverted.to_document()["ratio"] is not None, "what was measured stays known"
    assert tuning.values() == {SETTING: 6}


def test_revert_of_a_value_that_replaced_the_start_value(tuning):
    begun = begin(tuning)
    run_jobs(tuning, faster)
    tuning.revert(begun.id)
    assert tuning.values() == {}


def test_revert_returns_what_a_person_had_set_elsewhere(tuning):
    advice = Proposal("idle_timeout.job", "Keep it", "idle_offload_s", 300.0, 1.0)
    begun = begin(tuning, advice, old=5.0)
    by_hand = {"idle_offload_s": 5.0}
    for number in range(10):
        values = tuning.values_for(f"job{number}", by_hand=by_hand, **WORK)
        tuning.measured(f"job{number}", 1.0 if values["idle_offload_s"] == 300.0 else 2.0)
    assert tuning.values() == {"idle_offload_s": 300.0}
    tuning.revert(begun.id)
    assert tuning.values() == {"idle_offload_s": 5.0}


def test_a_later_change_is_not_undone_by_an_old_revert(tuning):
    begun = begin(tuning)
    run_jobs(tuning, faster)
    tuning.set(SETTING, 3)
    with pytest.raises(AdviceOutdated):
        tuning.revert(begun.id)
    assert tuning.values() == {SETTING: 3}
    tuning.reset(SETTING)
    assert tuning.values() == {}


def test_a_change_by_hand_ends_the_trial(tuning):
    begin(tuning)
    tuning.values_for("job", **WORK)
    tuning.set(SETTING, 3)
    (ended,) = tuning.experiments()
    assert ended.experiment.state is ExperimentState.DISMISSED
    assert tuning.values_for("job", **WORK) == {SETTING: 3}


def test_a_change_on_the_gpu_page_ends_the_trial(tuning):
    advice = Proposal("idle_timeout.job", "Keep it", "idle_offload_s", 300.0, 1.0)
    begin(tuning, advice, old=60.0)
    by_hand = {"idle_offload_s": 10.0}
    assert tuning.values_for("job", by_hand=by_hand, **WORK) == by_hand
    assert tuning.experiments()[0].experiment.state is ExperimentState.DISMISSED


def test_a_second_attempt_without_the_value_by_hand_gives_its_place_up(tuning):
    advice = Proposal("idle_timeout.job", "Keep it", "idle_offload_s", 300.0, 1.0)
    begin(tuning, advice, old=5.0)
    tuning.values_for("job", by_hand={"idle_offload_s": 5.0}, **WORK)
    assert tuning.values_for("job", **WORK) == {}, "Redis is away, so what a person set is unknown"
    assert tuning.measured("job", 1.0) is None
    test = tuning.experiments()[0].experiment
    assert test.state is ExperimentState.APPLIED
    assert all(slot.job_id is None for slot in test.slots)


def test_another_start_value_has_the_last_word(store, clock, tuning):
    begin(tuning)
    run_jobs(tuning, faster)
    same = TuningStore(store.engine, clock, STARTED)
    assert same.values() == {SETTING: 1}, "a restart changes nothing"
    assert TuningStore(store.engine, clock, STARTED | {SETTING: 6}).values() == {}


def test_a_shell_with_another_start_value_leaves_the_servers_value_alone(store, clock, tuning):
    begun = begin(tuning)
    run_jobs(tuning, faster)
    shell = TuningStore(store.engine, clock, STARTED | {SETTING: 6})
    shell.set(SETTING, 3)
    assert shell.values() == {SETTING: 3}
    assert tuning.values() == {SETTING: 1}
    shell.reset(SETTING)
    assert tuning.values() == {SETTING: 1}
    assert tuning.revert(begun.id).experiment.state is ExperimentState.DISMISSED
    assert tuning.values() == {}


def test_a_shell_with_another_start_value_does_not_end_the_servers_trial(store, clock, tuning):
    begin(tuning)
    TuningStore(store.engine, clock, STARTED | {SETTING: 6}).set(SETTING, 3)
    assert tuning.experiments()[0].experiment.state is ExperimentState.APPLIED


def test_a_confirmed_value_counts_again_once_the_start_value_is_back(store, clock, tuning):
    begun = begin(tuning)
    run_jobs(tuning, faster)
    meanwhile = TuningStore(store.engine, clock, STARTED | {SETTING: 6})
    assert meanwhile.values() == {}
    with pytest.raises(AdviceOutdated, match="started with export_compression=6"):
        meanwhile.revert(begun.id)
    assert TuningStore(store.engine, clock, STARTED).values() == {SETTING: 1}


def test_a_trial_ends_when_the_server_starts_with_another_value(store, clock, tuning):
    begin(tuning)
    restarted = TuningStore(store.engine, clock, STARTED | {SETTING: 6})
    assert restarted.values_for("job", **WORK) == {}
    assert restarted.experiments()[0].experiment.state is ExperimentState.DISMISSED


def test_dismissed_advice_is_known_to_later_runs_of_the_rules(tuning):
    tuning.dismiss(ADVICE, old=9, **WORK)
    test = tuning.tests(**WORK)[ADVICE.advice_id]
    assert test.state is ExperimentState.DISMISSED
    assert test.with_evidence(0.44).state is ExperimentState.DISMISSED
    assert test.with_evidence(0.49).state is ExperimentState.PROPOSED
    assert tuning.tests("image_to_3d", "image_to_3d:draft") == {}
    assert tuning.experiments() == [], "it was never applied"


def test_dismissing_advice_on_trial_ends_the_trial(tuning):
    begin(tuning)
    assert tuning.dismiss(ADVICE, **WORK).applied_at is not None
    assert len(tuning.experiments()) == 1
    assert tuning.values_for("job", **WORK) == {}


def test_out_of_memory_with_the_new_value_takes_it_back(store, new_job, tuning):
    begin(tuning)
    jobs = [store.submit(new_job())[0].id for _ in range(2)]
    on_new = next(job for job in jobs if tuning.values_for(job, **WORK))
    decided = tuning.failed(on_new, out_of_memory=True)
    assert decided.experiment.reason is RevertReason.OUT_OF_MEMORY
    assert tuning.values_for("next", **WORK) == {}


def test_the_place_of_a_dead_job_is_freed_once_its_report_cannot_come(
    store, clock, new_job, tuning
):
    begin(tuning)
    dead, _ = store.submit(new_job())
    tuning.values_for(dead.id, **WORK)
    tuning.values_for("gone-from-the-table", **WORK)
    store.request_cancel(dead.id)
    tuning.values_for("next", **WORK)
    held = [slot.job_id for slot in tuning.experiments()[0].experiment.slots]
    assert held[:2] == [dead.id, "next"], "its worker may still be about to report"
    clock.forward(seconds=REPORT_GRACE.total_seconds() + 1)
    tuning.values_for("one-more", **WORK)
    held = [slot.job_id for slot in tuning.experiments()[0].experiment.slots]
    assert held[0] == "one-more"


def test_a_job_that_failed_for_good_counts_against_its_value(store, clock, new_job, tuning):
    begin(tuning)
    claims = Claims(store)
    for _ in range(4):
        job, _ = store.submit(new_job())
        on_new = bool(tuning.values_for(job.id, **WORK))
        (claimed,) = claims.claim("gpu", "test:1:1")
        claims.fail(claimed, OutOfMemory())
        if on_new:
            break
    clock.moment += timedelta(seconds=REPORT_GRACE.total_seconds() + 1)
    assert tuning.values_for("next", **WORK) == {}
    assert tuning.experiments()[0].experiment.reason is RevertReason.OUT_OF_MEMORY


def test_a_full_disk_in_a_dead_worker_is_not_laid_at_a_settings_door(store, clock, new_job, tuning):
    begin(tuning)
    claims = Claims(store)
    for _ in range(6):
        job, _ = store.submit(new_job())
        tuning.values_for(job.id, **WORK)
        (claimed,) = claims.claim("gpu", "test:1:1")
        claims.fail(claimed, StorageFull("Full."))
        clock.forward(seconds=REPORT_GRACE.total_seconds() + 1)
    tuning.values_for("next", **WORK)
    trial = tuning.experiments()[0].experiment
    assert trial.state is ExperimentState.APPLIED
    assert (trial.failures_old, trial.failures_new) == (0, 0)


def test_two_workers_never_take_the_same_place(store, new_job, tuning):
    begin(tuning)
    jobs = [store.submit(new_job())[0].id for _ in range(10)]
    workers = [
        threading.Thread(target=tuning.values_for, args=(job_id, *WORK.values())) for job_id in jobs
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for job_id in jobs:  # who had to wait too long for the lock has run without a place
        tuning.values_for(job_id, **WORK)
    held = [slot.job_id for slot in tuning.experiments()[0].experiment.slots]
    assert sorted(held) == sorted(jobs)


def test_dropped_tables_are_made_again(store, tuning):
    tuning.set(SETTING, 3)
    METADATA.drop_all(store.engine)
    assert tuning.values() == {}
    assert tuning.experiments() == []
    assert tuning.values_for("job", **WORK) == {}
    tuning.set(SETTING, 6)
    METADATA.drop_all(store.engine)
    begin(tuning)
    assert len(tuning.experiments()) == 1


def test_values_of_another_version_are_passed_over(tuning, monkeypatch):
    tuning.set(SETTING, 3)
    monkeypatch.setattr("backend.jobs.setting_overrides.known", refuse)
    assert tuning.values() == {}


def refuse(name):
    raise InvalidParameter(name)


def test_the_tables_are_those_of_postgresql_too():
    dialect = postgresql.dialect()
    for table in METADATA.sorted_tables:
        assert "JSON" in str(CreateTable(table).compile(dialect=dialect))
        for index in table.indexes:
            assert str(CreateIndex(index).compile(dialect=dialect))
        locked = select(table).with_for_update()
        assert "FOR UPDATE" in str(locked.compile(dialect=dialect))
