"""The record of a run, made in this process around a scripted pipeline."""

from __future__ import annotations

import logging

import pytest
from sqlalchemy.exc import OperationalError

from backend.catalog import StageName
from backend.errors import DeviceLost, JobCanceled, NoForeground
from backend.jobs.job_runner import JobRunner
from backend.jobs.job_sink import JobSink
from backend.jobs.run_recording import RunRecording, settings_on_record
from backend.jobs.states import JobState
from backend.pipelines.pipeline import OutputFile, PipelineOutcome, stage
from backend.profiling.recorder import current_trace
from backend.profiling.run_summary import RunStatus
from backend.profiling.spans import NS, PipelineProfile, SpanKind
from backend.settings import Settings

WAIT_S = 40.0


@pytest.fixture
def run_job(service, clock):
    """Submit a job, let it wait, and run what the test scripts."""

    def run(work, history=None, params=None, attempts=1):
        new = service.prepare("image_to_3d", {"preset": "draft", **(params or {})}, "doll")
        job, _, _ = service.submit(new, {"image.png": b"x"})
        clock.forward(seconds=WAIT_S)
        (claimed,) = service.claims.claim("gpu", "test:1:1")
        for _ in range(attempts - 1):
            clock.forward(seconds=service.settings.lease_s + 1)
            service.claims.release_lost()
            (claimed,) = service.claims.claim("gpu", "test:1:1")
        recording = RunRecording(
            history or service.run_history, service.store.engine, clock, lambda: {"precision": "x"}
        )
        runner = JobRunner(
            service.claims, service.artefacts, service.events, work, recording=recording
        )
        return runner.run(claimed, JobSink(claimed, service.claims, service.events, clock)), job

    return run


def good_work(_name, request, sink):
    sink.engine_chosen("shape", "inflate")
    with stage(StageName.SHAPE_GENERATION, sink, SpanKind.GPU):
        pass
    made = request.out_dir / "mask.png"
    made.write_bytes(b"x")
    return PipelineOutcome([OutputFile("mask.png", "png", "mask", made)], {})


def failing_work(error):
    def work(_name, _request, sink):
        with stage(StageName.SHAPE_GENERATION, sink):
            raise error

    return work


def test_a_job_leaves_a_run_with_its_wait_and_circumstances(service, run_job):
    state, job = run_job(good_work)
    (run,) = service.run_history.runs()
    assert state is JobState.SUCCEEDED
    assert (run.job_id, run.pipeline, run.status) == (job.id, "image_to_3d", RunStatus.OK)
    assert run.queue_s == pytest.approx(WAIT_S, abs=0.1)
    assert run.total_s < 5, "the wait is not part of the run"
    assert [(s.name, s.kind) for s in run.stages] == [("shape_generation", "gpu")]
    assert run.engine == {"shape": "inflate"}
    assert run.settings == {"precision": "x"}
    assert run.shape_key == "image_to_3d:draft:auto:textured"
    profile = PipelineProfile.from_document(service.run_history.run(run.run).profile)
    assert profile.metadata == {"job_id": job.id, "attempt": 1}
    wait = profile.spans[0]
    assert (wait.kind, wait.end_ns) == (SpanKind.QUEUE, profile.start_ns)
    assert wait.elapsed_ns == round(run.queue_s * NS)
    assert current_trace() is None


def test_sizes_that_were_asked_for_are_part_of_the_shape_key(service, run_job):
    run_job(good_work, params={"grid_resolution": 96, "target_faces": 5000})
    (run,) = service.run_history.runs()
    assert run.shape_key == ("image_to_3d:draft:auto:textured:grid_resolution=96:target_faces=5000")


@pytest.mark.parametrize(
    ("error", "status", "state"),
    [
        (NoForeground("Scripted."), RunStatus.FAILED, JobState.FAILED),
        (JobCanceled(), RunStatus.CANCELED, JobState.CANCELED),
        (ZeroDivisionError("defect"), RunStatus.FAILED, JobState.FAILED),
    ],
)
def test_how_a_run_ended_is_recorded(service, run_job, error, status, state):
    assert run_job(failing_work(error))[0] is state
    (run,) = service.run_history.runs()
    assert run.status is status
    profile = PipelineProfile.from_document(service.run_history.run(run.run).profile)
    assert profile.spans[-1].error == type(error).__name__


def test_a_lost_device_is_recorded_before_the_process_ends(service, run_job):
    with pytest.raises(DeviceLost):
        run_job(failing_work(DeviceLost("gone")))
    (run,) = service.run_history.runs()
    assert run.status is RunStatus.FAILED


def test_the_wait_of_a_second_attempt_is_not_known(service, run_job):
    run_job(good_work, attempts=2)
    (run,) = service.run_history.runs()
    assert run.queue_s is None


class BrokenHistory:
    def record(self, *_args, **_kwargs):
        raise OperationalError("insert", {}, OSError("disk full"))


def test_a_broken_history_fails_no_job_and_is_told_once(service, clock, run_job, caplog):
    broken = RunRecording(BrokenHistory(), service.store.engine, clock)
    with caplog.at_level(logging.WARNING, "backend.jobs.run_recording"):
        for _ in range(3):
            new = service.prepare("image_to_3d", {"preset": "draft"}, "doll")
            service.submit(new, {"image.png": b"x"})
            (claimed,) = service.claims.claim("gpu", "test:1:1")
            runner = JobRunner(
                service.claims, service.artefacts, service.events, good_work, recording=broken
            )
            sink = JobSink(claimed, service.claims, service.events, clock)
            assert runner.run(claimed, sink) is JobState.SUCCEEDED
    told = [r for r in caplog.records if r.name == "backend.jobs.run_recording"]
    assert len(told) == 1


def test_a_job_table_that_does_not_answer_fails_no_job(service, clock, run_job, monkeypatch):
    def no_row(*_):
        raise OperationalError("select", {}, OSError("gone"))

    monkeypatch.setattr(RunRecording, "_origin", no_row)
    assert run_job(good_work)[0] is JobState.SUCCEEDED


def test_settings_changed_while_the_server_runs_are_those_on_record():
    settings = Settings(precision="fp16", idle_offload_s=60.0)
    found = settings_on_record(settings, {"policy": "resident", "idle_offload_s": 5.0})
    assert (found["residency"], found["idle_offload_s"]) == ("resident", 5.0)
    assert found["precision"] == "fp16"
    assert "policy" not in found
