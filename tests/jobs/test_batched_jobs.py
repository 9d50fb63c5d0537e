"""Jobs of one claim in the worker's own loop, up to their end states and records."""

from __future__ import annotations

import threading

import pytest

from backend.batch_processor import BatchProcessor
from backend.gpu.batch_history import BatchHistory
from backend.gpu_optimizer import GPUOptimizer
from backend.jobs.claim_plan import ClaimPlanner
from backend.jobs.deep_profiles import DeepState
from backend.jobs.drain_loop import DrainLoop
from backend.jobs.held_jobs import HeldJobs
from backend.jobs.job_runner import JobRunner
from backend.jobs.job_sink import JobSink
from backend.jobs.live_tuning import LiveTuning
from backend.jobs.proposal import Proposal
from backend.jobs.run_recording import RunRecording
from backend.jobs.states import JobState
from backend.profiling.experiment import ExperimentState
from backend.runtime_settings import started_with
from tests.jobs import batched_runner

ME = "test:1:1"


@pytest.fixture
def processor(tmp_path):
    history = BatchHistory(tmp_path / "gpu.sqlite3")
    return BatchProcessor(GPUOptimizer(history=history, read_status=lambda: {"devices": []}))


@pytest.fixture
def submit(service, clock):
    def submit_one(order):
        new = service.prepare("image_to_3d", {"preset": "draft"}, order)
        job, _, _ = service.submit(new, {"image.png": order.encode()})
        clock.forward(seconds=10)
        return job

    return submit_one


@pytest.fixture
def drain(service, clock, processor):
    """The worker's loop around its own parts, without its processes."""

    def run():
        recording = RunRecording(
            service.run_history,
            service.store.engine,
            clock,
            lambda: tuning.values,
            deep_profiles=service.deep_profiles,
        )
        tuning = LiveTuning(service.tuning, started_with(service.settings), recording.shape_key_of)
        runner = JobRunner(
            service.claims,
            service.artefacts,
            service.events,
            batched_runner.run_batched,
            recording=recording,
            tuning=tuning,
        )
        planner = ClaimPlanner(
            service,
            "gpu",
            lambda *_: batched_runner.batched_stages("image_to_3d", None),
            lambda: processor,
        )
        return DrainLoop(
            planner,
            lambda plan: service.claims.claim("gpu", ME, plan.size, plan.choice),
            lambda held: runner.run(held.job, held.sink, member=held.member),
            lambda job: JobSink(job, service.claims, service.events, clock),
            HeldJobs(),
            lambda: processor,
            clock,
        ).drain()

    return run


def test_every_job_of_a_batch_ends_in_its_own_way(service, submit, drain):
    jobs = [submit(order) for order in ("good", "failing", "good", "good")]
    service.artefacts.remove_inputs(jobs[3].id)
    assert drain()[0] == 4
    ended = [service.store.get(job.id) for job in jobs]
    assert [job.status for job in ended] == [
        JobState.SUCCEEDED, JobState.FAILED, JobState.SUCCEEDED, JobState.FAILED,
    ]  # fmt: skip
    assert [(job.error or {}).get("code") for job in ended] == [
        None, "no-foreground", None, "files-expired",
    ]  # fmt: skip
    assert [job.facts.get("told") for job in ended] == ["good 2", None, "good 2", None]
    assert [len(job.outputs) for job in ended] == [1, 0, 1, 0]


def test_a_canceled_job_does_not_stop_its_siblings(service, submit, drain, clock, monkeypatch):
    jobs = [submit("slow") for _ in range(3)]
    run = batched_runner.Gathering.run

    def cancel_and_run(self, batch, progress):
        service.store.request_cancel(jobs[1].id)
        clock.forward(seconds=2)  # a sink looks at its row once a second
        return run(self, batch, progress)

    monkeypatch.setattr(batched_runner.Gathering, "run", cancel_and_run)
    drain()
    states = [service.store.get(job.id).status for job in jobs]
    assert states == [JobState.SUCCEEDED, JobState.CANCELED, JobState.SUCCEEDED]


def test_the_record_tells_how_many_shared_the_call(service, submit, drain):
    submit("good")
    drain()
    for _ in range(2):
        submit("good")
    submit("failing")
    drain()
    runs = service.run_history.runs()
    assert sorted(run.batch_size for run in runs) == [1, 1, 2, 2]


def test_several_claims_follow_each_other_and_none_is_lost(service, submit, drain):
    jobs = [submit("good") for _ in range(9)]
    assert drain()[0] == 9
    told = [service.store.get(job.id).facts["told"] for job in jobs]
    assert set(told) <= {"good 1", "good 2", "good 3", "good 4"}
    assert told.count("good 4") >= 4
    assert service.store.counts()[JobState.SUCCEEDED] == 9


def test_only_a_job_that_runs_by_itself_is_profiled_in_depth(service, submit, drain):
    """The order may come in after the plan; then it stays for a later job."""
    for _ in range(2):
        submit("good")
    service.deep_profiles.arm()
    order = service.deep_profiles.document
    service.deep_profiles.document = lambda: {"state": DeepState.IDLE}
    drain()
    assert order()["state"] == DeepState.ARMED
    service.deep_profiles.document = order
    for _ in range(2):
        submit("good")
    drain()
    assert order()["state"] == DeepState.IDLE
    assert len(order()["items"]) == 1


def test_jobs_of_a_batch_begin_one_by_one_at_their_settings(service, submit, drain, monkeypatch):
    """What tuning keeps of the job at hand must not be mixed up between threads."""
    inside, most = [], []
    begin = LiveTuning._begin

    def slow_begin(self, job, **options):
        inside.append(job.id)
        most.append(len(inside))
        threading.Event().wait(0.02)
        begin(self, job, **options)
        inside.remove(job.id)

    monkeypatch.setattr(LiveTuning, "_begin", slow_begin)
    for _ in range(4):
        submit("good")
    drain()
    assert most == [1, 1, 1, 1]


def test_a_job_claimed_as_one_of_several_takes_no_part_in_a_trial_begun_since(
    service, submit, drain, monkeypatch
):
    """The plan was made before: pairs of a trial must not run beside others."""
    jobs = [submit("good") for _ in range(3)]
    advice = Proposal("slow_encoding.mesh_export", "Compress less", "export_compression", 9, 0.4)
    shape_key = "image_to_3d:draft:auto:textured"
    service.tuning.apply(advice, pipeline="image_to_3d", shape_key=shape_key, old=1)
    monkeypatch.setattr(ClaimPlanner, "_must_run_alone", lambda *_: False)
    drain()
    assert [service.store.get(job.id).facts["told"] for job in jobs] == ["good 3"] * 3
    (trial,) = service.tuning.experiments()
    assert trial.experiment.state is ExperimentState.APPLIED
    assert [slot.job_id for slot in trial.experiment.slots if slot.job_id] == []
    monkeypatch.undo()
    alone = [submit("good") for _ in range(2)]
    drain()
    (trial,) = service.tuning.experiments()
    tried = [slot.job_id for slot in trial.experiment.slots if slot.job_id]
    assert tried == [job.id for job in alone]


def test_a_run_keeps_the_settings_it_began_with(service, submit, drain, monkeypatch):
    """At its end those of another job, which has begun since, may be in force."""
    for _ in range(2):
        submit("good")
    run = batched_runner.Gathering.run

    def change_and_run(self, batch, progress):
        others = property(lambda _: {"export_compression": 9})
        monkeypatch.setattr(LiveTuning, "values", others)
        return run(self, batch, progress)

    monkeypatch.setattr(batched_runner.Gathering, "run", change_and_run)
    drain()
    runs = service.run_history.runs()
    assert [run.settings["export_compression"] for run in runs] == [1, 1]
