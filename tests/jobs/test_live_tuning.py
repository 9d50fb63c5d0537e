"""What a worker does around each job: its values, its report, and nothing that fails it."""

from __future__ import annotations

import logging

import pytest
from sqlalchemy.exc import OperationalError

from backend.errors import (
    DeviceLost,
    EngineUnavailable,
    InternalError,
    MeshInvalid,
    NoForeground,
    OutOfMemory,
    StorageFull,
)
from backend.jobs.job_runner import JobRunner
from backend.jobs.job_sink import JobSink
from backend.jobs.live_tuning import LiveTuning, values_in_force
from backend.jobs.proposal import Proposal
from backend.jobs.run_recording import RunRecording, settings_on_record
from backend.jobs.setting_overrides import Scope
from backend.jobs.states import JobState
from backend.pipelines.pipeline import OutputFile, PipelineOutcome
from backend.profiling.experiment import Arm, ExperimentState, RevertReason, arm_of_slot
from backend.profiling.recorder import profile_stage
from backend.profiling.spans import SpanKind
from backend.profiling.trial_interval import MOST_PAIRS
from backend.runtime_settings import SettingName, started_with, value_of
from backend.tuning.machine import processor_name

KIND = {"pipeline": "image_to_3d", "shape_key": "image_to_3d:draft:auto:textured"}
COMPRESS = Proposal("slow_encoding.mesh_export", "Compress less", "export_compression", 9, 0.4)
KEEP = Proposal("idle_timeout.job", "Keep it", "idle_offload_s", 300.0, 1.0)


class Floor:
    """A shop floor: jobs of one kind, run here by a scripted pipeline."""

    def __init__(self, service, clock) -> None:
        self.service = service
        self.clock = clock
        self.seen = []
        self.followed = []
        self.forgotten = []
        self.by_hand = {}
        self.error = None
        self.fails_with = {}
        recording = RunRecording(
            service.run_history, service.store.engine, clock, self.settings_on_record
        )
        self.tuning = LiveTuning(
            service.tuning,
            started_with(service.settings),
            recording.shape_key_of,
            by_hand=lambda: self.by_hand,
            follow=lambda values: self.followed.append(dict(values)),
            forget=self.forgotten.append,
        )
        self.runner = JobRunner(
            service.claims, service.artefacts, service.events, self.work,
            recording=recording, tuning=self.tuning,
        )  # fmt: skip

    def settings_on_record(self):
        return settings_on_record(self.service.settings) | self.tuning.values

    def work(self, _name, request, _sink):
        self.seen.append(value_of(SettingName.EXPORT_COMPRESSION))
        with profile_stage("mesh_export", SpanKind.CPU):
            error = self.error or self.fails_with.get(self.seen[-1])
            if error:
                raise error
        made = request.out_dir / "mask.png"
        made.write_bytes(b"x")
        return PipelineOutcome([OutputFile("mask.png", "png", "mask", made)], {})

    def run(self, n=1, params=None):
        """Run jobs; returns the state of the last."""
        state = None
        for _ in range(n):
            prepared = self.service.prepare(
                "image_to_3d", {"preset": "draft", **(params or {})}, "doll"
            )
            self.service.submit(prepared, {"image.png": b"x"})
            state = self.again()
        return state

    def again(self):
        (claimed,) = self.service.claims.claim("gpu", "test:1:1")
        sink = JobSink(claimed, self.service.claims, self.service.events, self.clock)
        return self.runner.run(claimed, sink)

    def trial(self):
        return self.service.tuning.experiments()[0].experiment


@pytest.fixture
def floor(service, clock):
    return Floor(service, clock)


@pytest.fixture
def on_trial(floor):
    floor.service.tuning.apply(COMPRESS, old=1, **KIND)
    return floor


def arms(floor, n):
    seed = floor.trial().seed
    return [9 if arm_of_slot(seed, index) is Arm.NEW else 1 for index in range(n)]


def test_without_tuning_jobs_run_as_the_server_was_started(floor):
    assert floor.run() is JobState.SUCCEEDED
    assert floor.seen == [1]
    assert floor.followed == []
    (run,) = floor.service.run_history.runs()
    assert run.settings["export_compression"] == 1


def test_each_job_runs_with_its_arm_and_is_recorded_so(on_trial):
    on_trial.run(4)
    assert on_trial.seen == arms(on_trial, 4)
    runs = on_trial.service.run_history.runs()
    assert [run.settings["export_compression"] for run in reversed(runs)] == on_trial.seen
    assert value_of(SettingName.EXPORT_COMPRESSION) == 1, "in force for the job only"


def test_what_was_found_for_an_engine_is_in_force_for_its_jobs_only(floor):
    found = Scope("image_to_3d", processor_name(), "shape=inflate")
    floor.service.tuning.adopt({"export_compression": 6}, found)
    floor.run(params={"engine": "inflate"})
    others = Scope("image_to_3d", processor_name(), "shape=carve")
    floor.service.tuning.reset("export_compression")
    floor.service.tuning.adopt({"export_compression": 3}, others)
    floor.run(params={"engine": "inflate"})
    assert floor.seen == [6, 1]


def test_what_a_job_took_goes_to_its_place(on_trial):
    on_trial.run(2)
    runs = on_trial.service.run_history.runs()
    measured = [slot.elapsed_s for slot in on_trial.trial().slots[:2]]
    assert measured == [run.total_s for run in reversed(runs)]


def test_loading_a_model_is_not_held_against_a_value(on_trial, monkeypatch):
    monkeypatch.setattr("backend.jobs.run_recording.load_seconds", lambda _: 1e-7)
    on_trial.run()
    (run,) = on_trial.service.run_history.runs()
    (slot, *_) = on_trial.trial().slots
    assert slot.elapsed_s == pytest.approx(run.total_s - 1e-7)


def test_a_trial_is_decided_within_22_jobs(on_trial):
    for _ in range(2 * MOST_PAIRS):
        if on_trial.trial().state is ExperimentState.APPLIED:
            on_trial.run()
    assert on_trial.trial().state in (
        ExperimentState.NO_EFFECT, ExperimentState.NOT_CLEAR,
        ExperimentState.AUTO_REVERTED, ExperimentState.CONFIRMED,
    )  # fmt: skip
    assert all(slot.elapsed_s for slot in on_trial.trial().slots) or on_trial.trial().reason
    assert 10 <= len(on_trial.seen) < 24


def test_jobs_of_another_kind_take_no_part(on_trial):
    on_trial.run(3, params={"grid_resolution": 96})
    assert on_trial.seen == [1, 1, 1]
    assert on_trial.trial().slots[0].job_id is None


def run_until_new(floor):
    """Run good jobs until the next one is to run with the new value."""
    n = next(i for i in range(4) if arm_of_slot(floor.trial().seed, i) is Arm.NEW)
    floor.run(n)


def test_a_job_out_of_memory_with_the_new_value_takes_it_back(on_trial):
    run_until_new(on_trial)
    on_trial.error = OutOfMemory()
    assert on_trial.run() is JobState.FAILED
    assert on_trial.trial().reason is RevertReason.OUT_OF_MEMORY
    on_trial.error = None
    on_trial.run(2)
    assert on_trial.seen[-2:] == [1, 1]


def test_two_failures_with_the_new_value_take_it_back(on_trial):
    failed = 0
    for _ in range(8):
        if on_trial.trial().reason:
            break
        # Whoever starts next runs as the trial says; only jobs with the new value fail.
        on_trial.fails_with = {9: InternalError()}
        failed += on_trial.run() is JobState.FAILED
    assert on_trial.trial().reason is RevertReason.FAILURES
    assert failed == 2
    assert on_trial.seen.count(1) >= 2, "the old value had as many starts"


def test_jobs_that_fail_with_either_value_say_nothing_about_one(on_trial):
    on_trial.error = InternalError()
    on_trial.run(2)
    assert sorted(on_trial.seen) == [1, 9]
    trial = on_trial.trial()
    assert (trial.failures_old, trial.failures_new) == (1, 1)
    assert trial.state is ExperimentState.APPLIED


@pytest.mark.parametrize("error", [NoForeground, MeshInvalid, StorageFull, EngineUnavailable])
def test_what_no_setting_can_cause_says_nothing_about_a_value(on_trial, error):
    run_until_new(on_trial)
    on_trial.error = error("Scripted.")
    on_trial.run(4)
    trial = on_trial.trial()
    assert (trial.state, trial.failures_new) == (ExperimentState.APPLIED, 0)


def test_after_a_lost_device_the_job_keeps_its_place(on_trial):
    on_trial.error = DeviceLost("gone")
    with pytest.raises(DeviceLost):
        on_trial.run()
    held = on_trial.trial().slots[0].job_id
    assert held
    on_trial.error = None
    on_trial.clock.forward(seconds=on_trial.service.settings.lease_s + 1)
    on_trial.service.claims.release_lost()
    assert on_trial.again() is JobState.SUCCEEDED
    assert on_trial.seen[0] == on_trial.seen[1]
    slot, after, *_ = on_trial.trial().slots
    assert (slot.job_id, after.job_id) == (held, None)
    assert slot.elapsed_s is not None


class LockedTuning:
    """A store that is locked whenever values are asked for."""

    def __init__(self, tuning) -> None:
        self._tuning = tuning

    def __getattr__(self, name):
        return getattr(self._tuning, name)

    def values_for(self, *_, **__):
        raise OperationalError("begin immediate", {}, OSError("database is locked"))


def lose_first_attempt(floor):
    """Let a job take a place with the new value and lose its device."""
    run_until_new(floor)
    floor.error = DeviceLost("gone")
    with pytest.raises(DeviceLost):
        floor.run()
    floor.error = None
    floor.clock.forward(seconds=floor.service.settings.lease_s + 1)
    floor.service.claims.release_lost()


def test_a_job_that_could_not_fetch_its_value_is_credited_to_no_arm(on_trial):
    lose_first_attempt(on_trial)
    before = on_trial.trial()
    tuning = on_trial.service.tuning
    on_trial.tuning._tuning = LockedTuning(tuning)
    assert on_trial.again() is JobState.SUCCEEDED
    assert on_trial.seen[-2:] == [9, 1], "it ran with the old value"
    after = on_trial.trial()
    measured = [[slot.elapsed_s for slot in trial.slots] for trial in (before, after)]
    assert measured[0] == measured[1]
    on_trial.tuning._tuning = tuning
    on_trial.run()
    assert on_trial.seen[-1] == 9, "its place is free for the next"
    assert sum(slot.elapsed_s is not None for slot in on_trial.trial().slots) >= 1


def test_a_failure_without_the_value_is_not_laid_at_its_door(on_trial):
    lose_first_attempt(on_trial)
    on_trial.tuning._tuning = LockedTuning(on_trial.service.tuning)
    on_trial.error = OutOfMemory()
    assert on_trial.again() is JobState.FAILED
    trial = on_trial.trial()
    assert (trial.state, trial.failures_new) == (ExperimentState.APPLIED, 0)


def test_values_that_could_be_fetched_again_count(on_trial):
    run_until_new(on_trial)
    tuning = on_trial.service.tuning
    on_trial.tuning._tuning = LockedTuning(tuning)
    on_trial.error = DeviceLost("gone")
    with pytest.raises(DeviceLost):
        on_trial.run()
    on_trial.error, on_trial.tuning._tuning = None, tuning
    on_trial.clock.forward(seconds=on_trial.service.settings.lease_s + 1)
    on_trial.service.claims.release_lost()
    measured = sum(slot.elapsed_s is not None for slot in on_trial.trial().slots)
    assert on_trial.again() is JobState.SUCCEEDED
    assert sum(slot.elapsed_s is not None for slot in on_trial.trial().slots) == measured + 1


class BrokenTuning:
    def values(self):
        raise OperationalError("select", {}, OSError("disk full"))

    def values_for(self, *_, **__):
        raise OperationalError("select", {}, OSError("disk full"))

    canceled = measured = failed = values_for


def test_a_store_that_does_not_answer_fails_no_job_and_is_told_once(service, clock, caplog):
    service.tuning = BrokenTuning()
    floor = Floor(service, clock)
    with caplog.at_level(logging.WARNING, "backend.jobs.live_tuning"):
        floor.tuning.start()
        for _ in range(3):
            assert floor.run() is JobState.SUCCEEDED
    assert floor.seen == [1, 1, 1]
    assert len([r for r in caplog.records if r.name == "backend.jobs.live_tuning"]) == 1


def test_residency_values_are_carried_to_the_models_and_back(floor):
    floor.service.tuning.set("idle_offload_s", 300.0)
    floor.tuning.start()
    assert floor.followed == [{"idle_offload_s": 300.0}]
    floor.service.tuning.reset("idle_offload_s")
    floor.run(2)
    assert floor.followed[1:] == [{"idle_offload_s": 60.0}], "back once, then left alone"


def test_what_a_person_set_outranks_the_store(floor):
    floor.service.tuning.set("idle_offload_s", 300.0)
    floor.by_hand = {"idle_offload_s": 5.0}
    floor.run()
    assert floor.followed == [], "the GPU page has carried it already"
    (run,) = floor.service.run_history.runs()
    assert run.settings["idle_offload_s"] == 5.0


def test_a_value_on_trial_goes_before_what_a_person_set_for_that_job_only(floor):
    floor.by_hand = {"idle_offload_s": 5.0}
    floor.service.tuning.apply(KEEP, old=5.0, **KIND)
    floor.run(4)
    runs = reversed(floor.service.run_history.runs())
    recorded = [run.settings["idle_offload_s"] for run in runs]
    assert sorted(recorded) == [5.0, 5.0, 300.0, 300.0]
    changes = [values["idle_offload_s"] for values in floor.followed]
    assert {5.0, 300.0} >= set(changes)
    assert 300.0 in changes


def test_a_confirmed_value_is_newer_than_what_a_person_set(floor):
    floor.by_hand = {"idle_offload_s": 5.0}
    floor.service.tuning.apply(KEEP, old=5.0, **KIND)
    for number in range(10):
        job = f"job{number}"
        values = floor.service.tuning.values_for(job, *KIND.values(), floor.by_hand)
        work_s = 1.0 if values["idle_offload_s"] == 300.0 else 2.0
        floor.tuning.ended(Job(job), JobState.SUCCEEDED, work_s=work_s)
    assert floor.trial().state is ExperimentState.CONFIRMED
    assert floor.forgotten == ["idle_offload_s"]


class Job:
    def __init__(self, job_id) -> None:
        self.id = job_id


def test_a_lost_claim_is_not_reported(on_trial):
    on_trial.service.tuning.values_for("job", *KIND.values())
    on_trial.tuning.ended(Job("job"), None)
    assert on_trial.trial().slots[0].job_id == "job"
    on_trial.tuning.ended(Job("job"), JobState.CANCELED)
    assert on_trial.trial().slots[0].job_id is None


def test_values_beyond_what_advice_may_set_still_reach_the_record(floor):
    floor.by_hand = {"idle_offload_s": 500_000.0}
    assert floor.run() is JobState.SUCCEEDED
    (run,) = floor.service.run_history.runs()
    assert run.settings["idle_offload_s"] == 500_000.0


def test_the_values_in_force_start_with_those_of_the_server(service):
    service.tuning.set("export_threads", 2)
    found = values_in_force(service)
    assert (found["export_threads"], found["export_compression"]) == (2, 1)
