from __future__ import annotations

import pytest

from backend.jobs.claims import ClaimedJob
from backend.jobs.owners import Owner
from backend.jobs.service import JobService
from backend.settings import Settings
from backend.web.app import create_app


@pytest.fixture
def service(tmp_path):
    made = JobService(Settings.from_env({}, data_dir=tmp_path, disk_floor_mb=1))
    yield made
    made.close()


@pytest.fixture
def client(service):
    return create_app(service.settings, service).test_client()


@pytest.fixture
def post(client):
    """Send a form as a browser would, with its token."""
    client.get("/")
    token = client.get_cookie("mk_csrf").value

    def send(path, **fields):
        return client.post(path, data={"csrf_token": token, **fields})

    return send


@pytest.fixture
def make_job(service, figure_png):
    def make(name="doll.png", **params):
        new = service.prepare("image_to_3d", params, name)
        return service.submit(new, {"image.png": figure_png})[0]

    return make


@pytest.fixture
def claim(service):
    def take() -> ClaimedJob:
        return service.claims.claim("gpu", str(Owner.this_process()))[0]

    return take
