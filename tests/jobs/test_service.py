from __future__ import annotations

import time

import pytest
from sqlalchemy.exc import OperationalError

from backend.errors import FilesExpired, InvalidParameter, JobNotFinished, QueueFull
from backend.jobs.service import BROKER_UNAVAILABLE, JobService
from backend.jobs.states import JobState, Priority
from backend.settings import Settings


def submit(service, **options):
    new = service.prepare("image_to_3d", {"preset": "draft"}, "doll.png", **options)
    return service.submit(new, {"image.png": b"x"})


def test_job_is_kept_although_redis_is_away(service):
    job, is_new, warnings = submit(service)
    assert is_new
    assert warnings == [BROKER_UNAVAILABLE]
    assert service.store.get(job.id).status is JobState.QUEUED
    assert service.worker_status() == []


def test_hung_redis_keeps_one_request_waiting_for_a_second_and_no_other(
    hung_redis, tmp_path, clock
):
    settings = Settings.from_env({}, data_dir=tmp_path, disk_floor_mb=1, redis_url=hung_redis[0])
    service = JobService(settings, clock)
    waits_s = []
    for _ in range(3):
        began_s = time.monotonic()
        job, _, warnings = submit(service)
        service.cancel(job.id)
        waits_s.append(time.monotonic() - began_s)
        assert warnings == [BROKER_UNAVAILABLE]
    service.close()
    assert 0.5 < waits_s[0] < 4
    assert max(waits_s[1:]) < 0.5


def test_seed_is_drawn_and_reported(service):
    first, second = submit(service)[0], submit(service)[0]
    assert isinstance(first.params["seed"], int)
    assert first.params["seed"] != second.params["seed"]


def test_wrong_parameters_never_become_a_job(service):
    with pytest.raises(InvalidParameter):
        service.prepare("image_to_3d", {"glaze": 3}, "x")


def test_refused_job_leaves_no_files(service, monkeypatch):
    def full(_new):
        raise QueueFull

    monkeypatch.setattr(service.store, "submit", full)
    with pytest.raises(QueueFull):
        submit(service)
    assert list(service.artefacts.job_ids()) == []


def test_a_job_that_may_have_been_stored_keeps_its_files(service, monkeypatch):
    """The connection may break after the database has stored the row and before it says so."""
    store = service.store.submit

    def stored_but_not_told(new):
        store(new)
        raise OperationalError("COMMIT", {}, Exception("connection lost"))

    new = service.prepare("image_to_3d", {"preset": "draft"}, "doll.png", idempotency_key="k")
    with monkeypatch.context() as broken:
        broken.setattr(service.store, "submit", stored_but_not_told)
        with pytest.raises(OperationalError):
            service.submit(new, {"image.png": b"x"})
    again = service.prepare("image_to_3d", {"preset": "draft"}, "doll.png", idempotency_key="k")
    job, is_new, _ = service.submit(again, {"image.png": b"x"})
    assert (job.id, is_new) == (new.id, False)
    assert service.artefacts.input_path(job.id, "image.png") is not None


def test_repeated_submit_leaves_no_second_copy(service):
    key = {"idempotency_key": "k", "body_sha256": "h"}
    job, _, _ = submit(service, **key)
    again, is_new, _ = submit(service, **key)
    assert (again.id, is_new) == (job.id, False)
    assert list(service.artefacts.job_ids()) == [job.id]


def test_retry_keeps_settings_and_picture(service):
    job, _, _ = submit(service, priority=Priority.HIGH)
    with pytest.raises(JobNotFinished):
        service.retry(job.id)
    service.cancel(job.id)
    again = service.retry(job.id, {"size_m": 2.0})
    assert again.retry_of == job.id
    assert again.params == {**job.params, "size_m": 2.0}
    assert again.priority is Priority.HIGH
    assert service.artefacts.input_path(again.id, "image.png").read_bytes() == b"x"


def test_retry_without_its_picture_is_refused(service):
    job, _, _ = submit(service)
    service.cancel(job.id)
    service.artefacts.remove(job.id)
    with pytest.raises(FilesExpired):
        service.retry(job.id)
