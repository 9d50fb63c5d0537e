"""The order for a deep profile: given once, taken once, and what came of it."""

from __future__ import annotations

import json
import time
from datetime import timedelta

import pytest

from backend.catalog import StageName
from backend.errors import InvalidParameter, NoForeground, NotFound, Refused
from backend.jobs.claims import ClaimedJob
from backend.jobs.deep_profiles import KEPT, WRITING, DeepProfiles
from backend.jobs.job_runner import JobRunner
from backend.jobs.job_sink import JobSink
from backend.jobs.run_recording import RunRecording
from backend.jobs.states import JobState
from backend.pipelines.pipeline import OutputFile, PipelineOutcome, stage
from backend.profiling.deep_profile import DeepProfile
from backend.profiling.history import RunFilter
from backend.profiling.recorder import profile_stage
from tests.jobs.conftest import wait_until

pytest.importorskip("pyinstrument")


@pytest.fixture
def deep(service, monkeypatch):
    # Another test may have brought torch into this process, which would then be profiled too.
    monkeypatch.setattr(DeepProfile, "_start_torch", lambda _: None)
    return service.deep_profiles


def count_for_long(_name, request, _sink):
    with profile_stage("counting"):
        sum(n * n for n in range(2_000_000))
    made = request.out_dir / "mask.png"
    made.write_bytes(b"x")
    return PipelineOutcome([OutputFile("mask.png", "png", "mask", made)], {})


def failing(*_):
    raise NoForeground("Scripted.")


@pytest.fixture
def run_job(service, clock):
    """Submit, claim and run a job; returns its end, and the job."""

    def run(work=count_for_long, pipeline="image_to_3d", recording=None):
        new = service.prepare(pipeline, {}, "doll")
        service.submit(new, {"image.png": b"x"})
        (claimed,) = service.claims.claim(new.queue, "test:1:1")
        recording = recording or RunRecording(
            service.run_history, service.store.engine, clock, deep_profiles=service.deep_profiles
        )
        runner = JobRunner(
            service.claims, service.artefacts, service.events, work, recording=recording
        )
        sink = JobSink(claimed, service.claims, service.events, clock)
        return runner.run(claimed, sink), claimed

    return run


def test_nothing_is_ordered_and_no_folder_made_by_looking(service, deep):
    assert deep.document() == {
        "state": "idle", "pipeline": None, "armed_at": None, "job_id": None, "items": []
    }  # fmt: skip
    assert not (service.settings.data_dir / "deep").exists()


def test_the_next_job_is_profiled_and_the_one_after_is_not(deep, run_job):
    deep.arm()
    assert deep.document()["state"] == "armed"
    state, job = run_job()
    _, other = run_job()
    assert state is JobState.SUCCEEDED
    document = deep.document()
    assert document["state"] == "idle"
    (item,) = document["items"]
    assert (item["job_id"], item["state"], item["problems"]) == (job.id, "finished", [])
    assert item["files"]["pyinstrument.html"] > 1000
    assert "<genexpr>" in [found["function"] for found in item["functions"]]
    assert item["total_s"] >= item["functions"][0]["self_s"] > 0
    assert deep.file(job.id, "pyinstrument.html").is_file()
    with pytest.raises(NotFound):
        deep.file(other.id, "pyinstrument.html")


def test_its_run_is_stored_but_joins_no_statistics(service, deep, run_job):
    deep.arm()
    run_job()
    run_job()
    history = service.run_history
    (counted,) = history.runs()
    assert "deep" not in counted.settings
    deep_run = next(run for run in history.runs(RunFilter(with_deep=True)) if run != counted)
    assert deep_run.settings["deep"] is True
    assert deep.document()["items"][0]["run"] == deep_run.run
    assert history.run(deep_run.run) is not None
    assert len(history.stage_times("image_to_3d")) == 1


def staged(_name, request, sink):
    with stage(StageName.IMAGE_PREPROCESSING, sink):
        made = request.out_dir / "mask.png"
        made.write_bytes(b"x")
    return PipelineOutcome([OutputFile("mask.png", "png", "mask", made)], {})


def test_its_time_says_nothing_of_how_long_the_next_job_will_take(service, deep, run_job):
    deep.arm()
    _, slowed = run_job(staged)
    assert service.store.get(slowed.id).facts == {"deep_profile": True}
    statistics = service.store.history
    assert (statistics.run_statistics().runs, statistics.stage_statistics()) == (0, [])
    run_job(staged)
    assert statistics.run_statistics().runs == 1
    (one,) = statistics.stage_statistics()
    assert one.runs == 1


def test_its_time_says_nothing_of_a_setting(service, clock, deep, run_job):
    """The trial of a setting is not told a time that profilers have stretched."""
    told = []

    class Watched(RunRecording):
        def begin(self, job):
            run = super().begin(job)
            told.append(run)
            keep = run.keep
            run.keep = lambda: (told.append(run.work_s), keep())
            return run

    recording = Watched(
        service.run_history, service.store.engine, clock, deep_profiles=service.deep_profiles
    )
    deep.arm()
    run_job(recording=recording)
    run_job(recording=recording)
    assert told[1] is None
    assert told[3] > 0


def test_an_order_for_one_pipeline_waits_for_it(deep, run_job):
    deep.arm("cut_out")
    run_job()
    assert deep.document()["state"] == "armed"
    _, job = run_job(pipeline="cut_out")
    assert [item["job_id"] for item in deep.document()["items"]] == [job.id]


def test_one_order_at_a_time(deep):
    deep.arm()
    with pytest.raises(Refused) as refused:
        deep.arm("cut_out")
    assert refused.value.http_status == 409
    assert deep.document()["pipeline"] is None


def test_an_unknown_pipeline_is_refused(deep):
    with pytest.raises(InvalidParameter):
        deep.arm("text_to_4d")
    assert deep.document()["state"] == "idle"


def test_an_order_can_be_taken_back(deep, run_job):
    deep.arm()
    assert deep.disarm()
    assert not deep.disarm()
    run_job()
    assert deep.document()["items"] == []


def claimed(job_id="0" * 25 + "1", attempt=1):
    return ClaimedJob(job_id, "image_to_3d", {}, (), (), "test:1:1", attempt)


def test_only_one_worker_gets_the_order(deep):
    deep.arm()
    taken = [deep.claim(claimed("0" * 25 + str(n))) for n in range(3)]
    assert [run is not None for run in taken] == [True, False, False]


def test_a_job_that_fails_is_profiled_too_and_fails_as_it_would(deep, run_job):
    deep.arm()
    state, _ = run_job(failing)
    assert state is JobState.FAILED
    (item,) = deep.document()["items"]
    assert item["state"] == "finished"


def test_profilers_that_fail_are_told_with_advice(deep, run_job, monkeypatch):
    monkeypatch.setattr(DeepProfile, "_start_sampler", lambda _: 1 / 0)
    deep.arm()
    assert run_job()[0] is JobState.SUCCEEDED
    (item,) = deep.document()["items"]
    assert item["state"] == "failed"
    assert "ZeroDivisionError" in item["problems"][0]["detail"]
    assert item["problems"][0]["advice"]


def test_a_full_disk_fails_no_job(deep, run_job, monkeypatch):
    def full(_):
        raise OSError("disk full")

    monkeypatch.setattr(DeepProfile, "write", full)
    deep.arm()
    assert run_job()[0] is JobState.SUCCEEDED
    (item,) = deep.document()["items"]
    assert item["state"] == "failed"
    assert "disk" in item["problems"][0]["advice"]


def test_a_damaged_order_is_passed_over(service, deep, run_job):
    deep.arm()
    (service.settings.data_dir / "deep" / "armed.json").write_text("{")
    assert run_job()[0] is JobState.SUCCEEDED
    assert deep.disarm()


@pytest.fixture
def taken(service, deep):
    """A job that is being profiled."""
    new = service.prepare("image_to_3d", {}, "doll")
    service.submit(new, {"image.png": b"x"})
    (job,) = service.claims.claim("gpu", "test:1:1")
    deep.arm()
    return job, deep.claim(job)


def test_while_a_job_is_profiled_no_other_can_be_ordered(deep, taken):
    job, _ = taken
    document = deep.document()
    assert (document["state"], document["job_id"]) == ("running", job.id)
    with pytest.raises(Refused):
        deep.arm()


def test_a_profile_whose_worker_died_is_lost_and_makes_room(service, clock, deep, taken):
    clock.forward(seconds=service.settings.lease_s + 1)
    service.claims.release_lost()
    (item,) = deep.document()["items"]
    assert item["state"] == "failed"
    assert "worker ended" in item["problems"][0]["detail"]
    deep.arm()
    (again,) = service.claims.claim("gpu", "test:1:1")
    assert deep.document()["items"][0]["state"] == "failed", "the new attempt is another one"
    assert deep.claim(again) is not None
    assert deep.document()["items"][0]["state"] == "running"


def test_writing_after_the_end_of_the_job_has_its_time(service, clock, deep, taken):
    job, _ = taken
    assert service.claims.finish(job, [], {})
    assert deep.document()["state"] == "running"
    clock.forward(seconds=(WRITING + timedelta(seconds=1)).total_seconds())
    assert deep.document()["items"][0]["state"] == "failed"


def test_only_the_last_ones_are_kept(deep):
    for n in range(KEPT + 3):
        deep.arm()
        run = deep.claim(claimed(f"{n:026d}"))
        with run.running():
            pass
        run.finish(None, 1.0)
    names = [item["job_id"] for item in deep.document()["items"]]
    assert names == [f"{n:026d}" for n in range(KEPT + 2, 2, -1)]


@pytest.mark.parametrize(
    ("job_id", "name"),
    [
        ("0" * 26, "armed.json"),
        ("0" * 26, "../armed.json"),
        ("..", "armed.json"),
        (".", "summary.json"),
        ("0" * 25 + "/", "summary.json"),
        ("0" * 26, ".summary.json.1"),
    ],
)
def test_only_files_of_profiles_are_handed_out(service, deep, job_id, name):
    deep.arm()
    run = deep.claim(claimed("0" * 26))
    run.finish(None, None)
    deep.arm()
    assert (service.settings.data_dir / "deep" / "armed.json").is_file()
    assert deep.file("0" * 26, "summary.json").is_file()
    with pytest.raises(NotFound):
        deep.file(job_id, name)


def test_without_an_order_a_job_pays_next_to_nothing(deep):
    job = claimed()
    started_s = time.perf_counter()
    for _ in range(100):
        assert deep.claim(job) is None
    assert (time.perf_counter() - started_s) / 100 < 0.001


@pytest.mark.server
def test_a_real_worker_profiles_the_next_job(workshop):
    deep = DeepProfiles(workshop.settings.data_dir / "deep", workshop.service.store)
    deep.arm()
    job = workshop.submit("quick")
    workshop.wait_for(job.id, JobState.SUCCEEDED)
    document = wait_until(lambda: _finished(deep))
    (item,) = document["items"]
    assert (item["job_id"], item["state"], item["problems"]) == (job.id, "finished", [])
    summary = json.loads(deep.file(job.id, "summary.json").read_text())
    assert summary["sampled_s"] > 0.9
    plain = workshop.submit("quick")
    workshop.wait_for(plain.id, JobState.SUCCEEDED)
    assert len(deep.document()["items"]) == 1


def _finished(deep):
    document = deep.document()
    done = document["items"] and document["items"][0]["state"] != "running"
    return document if done else None


@pytest.mark.parametrize("left_behind", ["", "[]", '{"pipe'])
def test_an_order_that_was_cut_off_does_not_block_the_next(deep, service, left_behind):
    deep.arm()
    deep.disarm()
    (service.settings.data_dir / "deep" / "armed.json").write_text(left_behind)
    deep.arm("image_to_3d")
    assert deep.document()["state"] == "armed"
    with pytest.raises(Refused):
        deep.arm()
    assert [path.name for path in (service.settings.data_dir / "deep").iterdir()] == ["armed.json"]
