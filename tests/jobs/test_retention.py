from __future__ import annotations

import os

import pytest

from backend.errors import NotFound
from backend.jobs.records import OutputRecord
from backend.jobs.retention import Retention
from backend.jobs.states import JobState
from tests.jobs.test_artefacts import make
from tests.jobs.test_claims import ME


@pytest.fixture
def retention(service):
    return Retention(service.settings, service.store, service.artefacts)


@pytest.fixture
def done_job(service):
    def finish(**fields):
        new = service.prepare("image_to_3d", {}, "doll.png", **fields)
        job, _, _ = service.submit(new, {"image.png": b"x"})
        (held,) = service.claims.claim("gpu", ME)
        records = service.artefacts.publish(job.id, 1, [make(service.artefacts, job.id)])
        assert service.claims.finish(held, records, {})
        return job.id

    return finish


def test_uploads_go_after_a_day_and_results_after_a_week(service, retention, done_job, clock):
    job_id = done_job()
    clock.forward(days=1.5)
    retention.sweep()
    assert service.artefacts.input_path(job_id, "image.png") is None
    assert service.artefacts.output_path(job_id, 1, "model.glb")
    assert service.store.get(job_id).status is JobState.SUCCEEDED
    clock.forward(days=6)
    retention.sweep()
    expired = service.store.get(job_id)
    assert (expired.status, expired.outputs) == (JobState.EXPIRED, ())
    assert service.artefacts.size_bytes(job_id) == 0


def test_waiting_and_running_jobs_are_never_touched(service, retention, clock):
    new = service.prepare("image_to_3d", {}, "waits")
    waiting, _, _ = service.submit(new, {"image.png": b"x"})
    clock.forward(days=100)
    retention.sweep()
    assert service.artefacts.input_path(waiting.id, "image.png")
    service.claims.claim("gpu", ME)
    retention.sweep()
    assert service.artefacts.input_path(waiting.id, "image.png")


def test_oldest_results_go_first_when_there_is_too_much(service, done_job):
    old, young = done_job(), done_job()
    size_gb = service.artefacts.size_bytes(old) / 2**30
    small = type(service.settings)(
        **{**service.settings.__dict__, "keep_results_gb": 1.5 * size_gb}
    )
    Retention(small, service.store, service.artefacts).sweep()
    assert service.store.get(old).status is JobState.EXPIRED
    assert service.store.get(young).status is JobState.SUCCEEDED


def test_deleted_jobs_are_swept_away(service, retention, done_job):
    job_id = done_job()
    service.delete(job_id)
    assert service.artefacts.size_bytes(job_id) == 0
    retention.sweep()
    with pytest.raises(NotFound):
        service.store.get(job_id)


def test_files_without_a_job_go_only_when_they_are_old(service, retention, clock):
    orphan = "01m7y2xs5c0000000000000000"
    service.artefacts.put_input(orphan, "image.png", b"x")
    folder = service.artefacts.root / orphan[-2:] / orphan
    os.utime(folder, (clock.moment.timestamp(),) * 2)
    retention.sweep()
    assert service.artefacts.input_path(orphan, "image.png")
    clock.forward(hours=2)
    retention.sweep()
    assert not folder.exists()


def test_outputs_of_an_expired_job_are_not_promised(service, retention, done_job, clock):
    job_id = done_job()
    assert isinstance(service.store.get(job_id).outputs[0], OutputRecord)
    clock.forward(days=8)
    retention.sweep()
    assert service.store.get(job_id).inputs == ()
