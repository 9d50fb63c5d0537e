"""What a worker does around each job: its values, its report, and nothing that fails it."""

from __future__ import annotations

import logging

import pytest
from sqlalchemy.exc import OperationalError

from backend.errors import DeviceLost, MeshInvalid, NoForeground, OutOfMemory
from backend.jobs.job_runner import JobRunner
from backend.jobs.job_sink import JobSink
from backend.jobs.live_tuning import LiveTuning, values_in_force
from backend.jobs.proposal import Proposal
from backend.jobs.run_recording import RunRecording, settings_on_record
from backend.jobs.states import JobState
from backend.pipelines.pipeline import OutputFile, PipelineOutcome
from backend.profiling.experiment import Arm, ExperimentState, RevertReason, arm_of_slot
from backend.profiling.recorder import profile_stage
from backend.profiling.spans import SpanKind
from backend.runtime_settings import SettingName, started_with, value_of

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
            if self.error:
                raise self.error
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


def test_ten_jobs_decide(on_trial):
    on_trial.run(10)
    assert on_trial.trial().state in (
        ExperimentState.NO_EFFECT, ExperimentState.AUTO_REVERTED, ExperimentState.CONFIRMED
    )  # fmt: skip
    assert all(slot.elapsed_s for slot in on_trial.trial().slots) or on_trial.trial().reason


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
    run_until_new(on_trial)
    on_trial.error = MeshInvalid("Scripted.")
    on_trial.run(2)
    assert on_trial.trial().reason is RevertReason.FAILURES


def test_a_picture_that_cannot_be_used_says_nothing_about_a_value(on_trial):
    run_until_new(on_trial)
    on_trial.error = NoForeground("Scripted.")
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
