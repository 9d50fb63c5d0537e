"""A trace from the request that submits a job to the run that a worker stores."""

from __future__ import annotations

import json
import urllib.request
import uuid

import pytest
from sqlalchemy import func, select

from backend.jobs.claims import Claims
from backend.jobs.doorbell import Doorbell, celery_app
from backend.jobs.retention import Retention
from backend.jobs.run_recording import RunRecording
from backend.jobs.schema import TraceRow
from backend.jobs.service import JobService
from backend.jobs.states import JobState
from backend.jobs.trace_links import trace_of
from backend.profiling.recorder import continue_from, profile_stage
from backend.profiling.trace_headers import RemoteParent, read_headers
from backend.web.app import create_app
from tests.jobs.conftest import wait_until
from tests.web.conftest import gunicorn

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADERS = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


@pytest.fixture
def submit(service):
    def made(**options):
        new = service.prepare("image_to_3d", {"preset": "draft"}, "doll", **options)
        return service.submit(new, {"image.png": b"x"})[0]

    return made


@pytest.fixture
def recorded(service, clock):
    """Claim the next job and record it; returns its profile document."""

    def run():
        (claimed,) = service.claims.claim("gpu", "test:1:1")
        recording = RunRecording(service.run_history, service.store.engine, clock)
        kept = recording.begin(claimed)
        with kept.recorded(), profile_stage("s"):
            pass
        kept.keep()
        (newest, *_) = service.run_history.runs()
        assert newest.job_id == claimed.id
        return service.run_history.run(newest.run).profile

    return run


def test_the_senders_trace_is_kept_with_the_job_and_continued_by_its_run(service, submit, recorded):
    with continue_from(HEADERS):
        job = submit()
    assert trace_of(service.store.engine, job.id) == RemoteParent(TRACE, PARENT)
    profile = recorded()
    assert (profile["trace_id"], profile["remote_parent"]) == (TRACE, PARENT)


def test_without_a_sender_the_job_has_a_trace_of_its_own_and_no_parent(service, submit, recorded):
    first, second = submit(), submit()
    traces = [trace_of(service.store.engine, job.id) for job in (first, second)]
    assert [trace.span_key for trace in traces] == [None, None]
    assert traces[0].trace_id != traces[1].trace_id
    profile = recorded()
    assert (profile["trace_id"], profile["remote_parent"]) == (traces[0].trace_id, None)


def test_all_attempts_of_a_job_belong_to_one_trace(service, clock, submit, recorded):
    with continue_from(HEADERS):
        submit()
    service.claims.claim("gpu", "test:1:1")
    clock.forward(seconds=service.settings.lease_s + 1)
    service.claims.release_lost()
    assert recorded()["trace_id"] == TRACE


def test_a_trace_stays_with_its_job(submit, recorded):
    """Runs of one process do not inherit the trace of the job before."""
    with continue_from(HEADERS):
        submit()
    submit()
    assert recorded()["trace_id"] == TRACE
    assert recorded()["trace_id"] != TRACE


def test_a_job_of_an_older_version_still_runs(service, submit, recorded):
    submit()
    with service.store.writer.begin() as connection:
        connection.execute(TraceRow.__table__.delete())
    profile = recorded()
    assert len(profile["trace_id"]) == 32
    assert profile["remote_parent"] is None


def test_a_repeated_submit_keeps_the_first_trace(service, submit):
    with continue_from(HEADERS):
        first = submit(idempotency_key="k", body_sha256="h")
    again = submit(idempotency_key="k", body_sha256="h")
    assert again.id == first.id
    assert trace_of(service.store.engine, first.id).trace_id == TRACE


def test_a_trace_goes_with_its_job(service, submit):
    job = submit()
    service.cancel(job.id)
    service.delete(job.id)
    Retention(service.settings, service.store, service.artefacts).sweep()
    with service.store.engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(TraceRow)) == 0


def test_a_trace_that_cannot_be_read_fails_no_job(service, submit, recorded, monkeypatch):
    submit()

    def broken(*_):
        raise OSError("gone")

    monkeypatch.setattr("backend.jobs.run_recording.trace_of", broken)
    assert recorded()["remote_parent"] is None


def test_the_bell_carries_the_trace(service, submit, monkeypatch):
    rung = []
    monkeypatch.setattr(service.looks, "publish", lambda *event: True)
    monkeypatch.setattr(service.doorbell, "ring", lambda queue, trace: rung.append(trace) or True)
    with continue_from(HEADERS):
        submit()
    submit()
    assert rung[0] == HEADERS
    own = read_headers(rung[1])
    assert own.trace_id != TRACE


def test_the_message_has_the_header(monkeypatch):
    sent = {}
    app = celery_app("redis://127.0.0.1:1/0")
    monkeypatch.setattr(app, "send_task", lambda *_, **options: sent.update(options))
    assert Doorbell(app).ring("gpu", HEADERS)
    assert sent["headers"] == HEADERS


@pytest.mark.parametrize(
    "header", ["", "nonsense", f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01"]
)
def test_a_malformed_header_is_passed_over(service, figure_png, header):
    client = create_app(service.settings, service).test_client()
    form = {"pipeline": "image_to_3d", "file": (_file(figure_png), "doll.png")}
    answer = client.post("/api/v1/jobs", data=form, headers={"traceparent": header})
    assert answer.status_code == 202
    trace = trace_of(service.store.engine, answer.json["id"])
    assert trace.trace_id != TRACE
    assert trace.span_key is None


def test_the_header_of_a_retry_counts(service, figure_png):
    client = create_app(service.settings, service).test_client()
    form = {"pipeline": "image_to_3d", "file": (_file(figure_png), "doll.png")}
    job = client.post("/api/v1/jobs", data=form).json
    service.cancel(job["id"])
    again = client.post(f"/api/v1/jobs/{job['id']}/retry", json={}, headers=HEADERS)
    assert again.status_code == 202
    assert trace_of(service.store.engine, again.json["id"]) == RemoteParent(TRACE, PARENT)


@pytest.mark.server
def test_the_trace_of_a_post_comes_out_in_the_stored_run(workshop, figure_png):
    """Through a real web process, Redis and a Celery worker, which claims it on another's bell."""
    folder = workshop.settings.data_dir
    with gunicorn(folder, workshop.settings.redis_url, lease_s=4.0) as server:
        assert isinstance(server.service.claims, Claims)
        job_id = _post(f"{server.http}/api/v1/jobs", figure_png, HEADERS)
        workshop.wait_for(job_id, JobState.SUCCEEDED, JobState.FAILED)
        run = wait_until(lambda: _run_of(server.service, job_id))
        with urllib.request.urlopen(f"{server.http}/api/performance/profiles/{run}") as answer:
            profile = json.load(answer)["profile"]
    assert (profile["trace_id"], profile["remote_parent"]) == (TRACE, PARENT)
    assert profile["metadata"]["job_id"] == job_id


def _run_of(service: JobService, job_id: str) -> str | None:
    return next((run.run for run in service.run_history.runs() if run.job_id == job_id), None)


def _file(data):
    import io

    return io.BytesIO(data)


def _post(url, png, headers):
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="pipeline"\r\n\r\nimage_to_3d\r\n',
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="doll.png"\r\n'
        "Content-Type: image/png\r\n\r\n",
    ]
    body = "".join(parts).encode() + png + f"\r\n--{boundary}--\r\n".encode()
    sent = {"Content-Type": f"multipart/form-data; boundary={boundary}", **headers}
    request = urllib.request.Request(url, body, sent)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["id"]
