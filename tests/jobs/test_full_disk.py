"""Row 43 of the abuse table: the disk is full while a job writes its files."""

from __future__ import annotations

import errno
import os

import pytest

from backend.catalog import StageName
from backend.errors import StorageFull
from backend.jobs.job_runner import JobRunner
from backend.jobs.job_sink import JobSink
from backend.jobs.states import JobState
from backend.pipelines.pipeline import OutputFile, PipelineOutcome, stage


def no_space(*_args):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write(name, request, sink):
    with stage(StageName.IMAGE_PREPROCESSING, sink):
        half = request.out_dir / "model.glb"
        half.write_bytes(b"half a file")
    return PipelineOutcome([OutputFile("model.glb", "glb", "model", half)], {})


def write_until_full(name, request, sink):
    write(name, request, sink)
    no_space()


@pytest.fixture
def run_job(service):
    def run(pipeline):
        new = service.prepare("image_to_3d", {"preset": "draft"}, "full disk")
        service.submit(new, {"image.png": b"any"})
        (job,) = service.claims.claim("gpu", "test:1:1")
        sink = JobSink(job, service.claims, service.events, service.clock)
        runner = JobRunner(service.claims, service.artefacts, service.events, pipeline)
        runner.run(job, sink)
        return service.store.get(job.id)

    return run


def left_of(service, job):
    folder = service.artefacts.input_path(job.id, "image.png").parent.parent
    return sorted(path.name for path in folder.iterdir())


def test_a_pipeline_that_finds_no_space_fails_as_storage_full(service, run_job):
    job = run_job(write_until_full)
    assert (job.status, job.error["code"]) == (JobState.FAILED, "storage-full")
    assert job.outputs == ()
    assert left_of(service, job) == ["input"]


def test_no_space_while_the_result_is_moved_leaves_no_half_of_it(service, run_job, monkeypatch):
    monkeypatch.setattr("backend.jobs.artefacts.local_store.sha256_of", no_space)
    job = run_job(write)
    assert (job.status, job.error["code"]) == (JobState.FAILED, "storage-full")
    assert left_of(service, job) == ["input"]


def test_below_the_floor_nothing_begins(service, run_job, monkeypatch):
    new_folder = service.artefacts.work_dir

    def refuse(job_id, attempt):
        raise StorageFull("Only 3 MB are free.")

    monkeypatch.setattr(service.artefacts, "work_dir", refuse)
    job = run_job(write)
    assert (job.status, job.error["code"]) == (JobState.FAILED, "storage-full")
    monkeypatch.setattr(service.artefacts, "work_dir", new_folder)
    assert run_job(write).status is JobState.SUCCEEDED
