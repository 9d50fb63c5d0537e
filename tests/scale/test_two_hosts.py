"""Twenty jobs on two hosts that share PostgreSQL, Redis and a file store; one host dies."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import replace

import pytest
import requests
from sqlalchemy import select

from backend.errors import StartFailed
from backend.jobs.retention import Retention
from backend.jobs.schema import JobRow, OutputRow
from backend.jobs.service import JobService
from backend.jobs.states import JobState
from backend.jobs.supervisor import Part, serve
from backend.settings import Settings
from bench.running_server import free_port
from tests.databases import HAS_POSTGRES, postgres_url
from tests.jobs.conftest import wait_until
from tests.scale.hosts import host, redis_on_tcp

JOBS = 20
LEASE_S = 4.0

needs_postgres = pytest.mark.skipif(not HAS_POSTGRES, reason="PostgreSQL or psycopg is missing")


@pytest.fixture
def shared(tmp_path):
    """What all hosts have in common."""
    with redis_on_tcp(tmp_path) as redis_url:
        yield Settings.from_env(
            {}, redis_url=redis_url, database_url=postgres_url(tmp_path),
            store_url=(tmp_path / "store").as_uri(), gpu="cpu", cpu_workers=1, disk_floor_mb=1,
            lease_s=LEASE_S, lease_beat_s=1.0, reconcile_s=0.5,
        )  # fmt: skip


@pytest.mark.server
@needs_postgres
def test_twenty_jobs_on_two_hosts_end_once_although_one_dies(tmp_path, shared):
    def on(name):
        return replace(shared, data_dir=tmp_path / name, port=free_port())

    with contextlib.ExitStack() as stack:
        web = stack.enter_context(host("web", "web", on("web")))
        alpha = stack.enter_context(host("alpha", "worker", on("alpha")))
        beta = stack.enter_context(host("beta", "worker", on("beta")))
        service = JobService(on("client"))
        stack.callback(service.close)
        for each in (web, alpha, beta):
            each.wait_ready()
        jobs = [submit(service) for _ in range(JOBS)]
        wait_until(lambda: running_on(service) >= {"alpha", "beta"})
        wait_until(lambda: service.store.counts()[JobState.SUCCEEDED] >= 4)
        wait_until(lambda: "alpha" in running_on(service))
        held = held_by(service, "alpha")
        alpha.kill()
        wait_until(lambda: not held_by(service, "alpha"), LEASE_S + 10)
        wait_until(lambda: service.store.counts()[JobState.SUCCEEDED] == JOBS, 60)
        check_rows(service, jobs, held)
        check_events(service, jobs)
        check_downloads(service, jobs, web.url)
        check_store(service, jobs, tmp_path / "store")


def submit(service):
    new = service.prepare("image_to_3d", {"preset": "draft"}, "doll")
    return service.submit(new, {"image.png": b"slow"})[0].id


def held_by(service, name):
    query = select(JobRow.id, JobRow.owner).where(JobRow.owner.is_not(None))
    with service.store.engine.connect() as connection:
        return [row.id for row in connection.execute(query) if row.owner.startswith(f"{name}:")]


def running_on(service):
    query = select(JobRow.owner).where(JobRow.owner.is_not(None))
    with service.store.engine.connect() as connection:
        return {owner.split(":")[0] for owner in connection.scalars(query)}


def check_rows(service, jobs, held):
    for job_id in jobs:
        job = service.store.get(job_id)
        assert job.status is JobState.SUCCEEDED
        assert (job.attempt > 1) == (job_id in held), "only the dead host's jobs began again"
    with service.store.engine.connect() as connection:
        assert len(connection.execute(select(OutputRow.job_id)).all()) == JOBS


def check_events(service, jobs):
    for job_id in jobs:
        events = service.events.read_after(job_id, "0-0")
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert [event.type for event in events].count("end") == 1


def check_downloads(service, jobs, url):
    """The web host never ran a job and has every result."""
    for job_id in jobs:
        (output,) = service.store.get(job_id).outputs
        address = f"{url}/api/v1/jobs/{job_id}/files/{output.name}"
        whole = requests.get(address, timeout=10)
        assert hashlib.sha256(whole.content).hexdigest() == output.sha256
        part = requests.get(address, headers={"Range": "bytes=1-3"}, timeout=10)
        assert (part.status_code, part.content) == (206, whole.content[1:4])


def check_store(service, jobs, folder):
    """Nothing of a lost attempt remains once the janitor has been."""
    Retention(service.settings, service.store, service.artefacts).sweep()
    for job_id in jobs:
        attempt = service.store.get(job_id).attempt
        kinds = {path.name for path in (folder / job_id[-2:] / job_id).iterdir()}
        assert kinds == {"input", f"output-{attempt}"}
    service.delete(jobs[0])
    assert not (folder / jobs[0][-2:] / jobs[0]).exists()


@pytest.mark.parametrize("only", Part)
def test_a_part_alone_names_what_it_lacks(tmp_path, only):
    settings = Settings.from_env({}, data_dir=tmp_path, redis_url="redis://x", port=free_port())
    with pytest.raises(StartFailed, match=r"MESHKILN_DATABASE_URL, MESHKILN_STORE_URL\.$"):
        serve(settings, only)
