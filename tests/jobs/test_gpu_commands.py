"""Commands to a real worker's child, through the routes a user calls."""

from __future__ import annotations

import json
import os
import signal
import statistics
import time
from dataclasses import replace

import pytest

from backend.jobs.gpu_commands import (
    COMMANDS,
    CommandKind,
    await_answer,
    read_command,
    receive,
    send,
)
from backend.jobs.gpu_settings import KEY, forget_settings, kept_settings
from backend.jobs.states import JobState
from backend.web.app import create_app
from tests.jobs.conftest import wait_until

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def app(shared_workshop):
    return create_app(shared_workshop.settings, shared_workshop.service)


@pytest.fixture
def workshop(shared_workshop, app):
    """The one of all tests here; it is left without jobs, models and settings."""
    yield shared_workshop
    client, service = app.test_client(), shared_workshop.service
    wait_until(lambda: not service.store.counts()[JobState.RUNNING])
    wait_until(lambda: client.post("/api/gpu/release", json={}).status_code == 200)
    forget_settings(service.events.client, ["residency", "idle_offload_s"])


@pytest.fixture
def client(workshop, app):
    return app.test_client()


def model(client, name="tiny_transformer"):
    models = client.get("/api/gpu/status").json["models"]
    return next((one for one in models if one["name"] == name), None)


def until_state(client, state, name="tiny_transformer"):
    return wait_until(lambda: (model(client, name) or {}).get("state") == state, 15)


def test_a_model_is_loaded_offloaded_and_released_on_request(client):
    until_state(client, "unloaded")
    before = client.get("/api/gpu/status").json["residency"]
    assert (before["backend"], before["budget"]["total_mb"]) == (None, None), "nothing is open yet"
    assert client.post("/api/gpu/offload", json={}).status_code == 200
    answer = client.post("/api/gpu/preload", json={"model": "tiny_transformer"})
    assert (answer.status_code, answer.json["status"]) == (202, "started")
    until_state(client, "resident")
    assert model(client)["vram_mb"] > 0
    answer = client.post("/api/gpu/offload", json={"model": "tiny_transformer"})
    assert (answer.status_code, answer.json["status"]) == (200, "done")
    until_state(client, "host")
    loaded = model(client)
    assert loaded["vram_mb"] == 0
    assert loaded["loads"] == 1
    assert loaded["size_mb"] > 0
    assert loaded["last_restore"]["gb_per_s"] is None, "no link is crossed without a GPU"
    assert client.get("/api/gpu/status").json["residency"]["backend"] == "cpu"
    answer = client.post("/gpu/release", json={"model": "tiny_transformer"})
    assert (answer.status_code, answer.json["status"]) == (200, "done")
    until_state(client, "unloaded")
    assert "model tiny_transformer: unloaded" in client.get("/api/gpu/memory_summary").text


def test_a_model_in_use_is_not_released_and_drains_when_offloaded(workshop, client):
    changed = client.post("/api/gpu/settings", json={"policy": "resident", "idle_offload_s": 30})
    assert changed.status_code == 200
    job = workshop.submit("lease tiny_transformer")
    wait_until(lambda: (model(client) or {}).get("leases") == 1)
    refused = client.post("/api/gpu/release", json={"model": "tiny_transformer"})
    assert (refused.status_code, refused.json["code"]) == (409, "model-leased")
    assert "drain" in refused.json["advice"]
    answer = client.post("/api/gpu/offload", json={"model": "tiny_transformer"})
    assert (answer.status_code, answer.json["status"]) == (202, "draining")
    until_state(client, "draining")
    done = workshop.wait_for(job.id, JobState.SUCCEEDED)
    until_state(client, "host")
    transitions = client.get("/api/gpu/status").json["residency"]["transitions"]
    assert [t["to"] for t in transitions[:3]] == ["host", "offloading", "draining"]
    # settings outlive the child, models do not
    os.kill(done.facts["pid"], signal.SIGKILL)
    wait_until(lambda: workshop.child_pid() != done.facts["pid"])
    until_state(client, "unloaded")
    residency = client.get("/api/gpu/status").json["residency"]
    assert (residency["policy"], residency["idle_offload_s"]) == ("resident", 30)
    assert kept_settings(workshop.service.events.client)["policy"] == "resident"


def test_status_answers_at_once_while_a_model_loads(client):
    client.post("/api/gpu/preload", json={"model": "tiny_slow"})
    until_state(client, "loading", "tiny_slow")
    times_s = []
    while (model(client, "tiny_slow") or {}).get("state") == "loading":
        started_s = time.perf_counter()
        client.get("/api/gpu/status")
        times_s.append(time.perf_counter() - started_s)
    assert len(times_s) > 20
    assert statistics.median(times_s) < 0.05


def test_wrong_commands_are_explained(client):
    unknown = client.post("/api/gpu/offload", json={"model": "nobody"})
    assert (unknown.status_code, unknown.json["code"]) == (404, "unknown-model")
    nameless = client.post("/api/gpu/preload", json={})
    assert (nameless.status_code, nameless.json["errors"][0]["pointer"]) == (422, "/model")
    assert client.post("/api/gpu/settings", json={"policy": "x"}).status_code == 422
    assert client.post("/api/gpu/settings", json={"idle_offload_s": "soon"}).status_code == 422
    assert client.post("/api/gpu/settings", json={}).status_code == 422
    assert client.post("/api/gpu/release", json={"modell": "a"}).status_code == 422


def test_a_damaged_file_shows_in_the_status(client):
    client.post("/api/gpu/preload", json={"model": "tiny_broken"})
    until_state(client, "failed", "tiny_broken")
    assert "the file is damaged" in model(client, "tiny_broken")["error"]
    client.post("/api/gpu/release", json={"model": "tiny_broken"})
    until_state(client, "unloaded", "tiny_broken")


def test_a_lost_device_ends_the_child_and_the_job_runs_on_a_fresh_one(workshop):
    before = workshop.child_pid()
    job = workshop.submit("lost-once")
    done = workshop.wait_for(job.id, JobState.SUCCEEDED)
    assert done.attempt == 2
    assert workshop.child_pid() != before
    failed = workshop.wait_for(workshop.submit("too-large").id, JobState.FAILED)
    assert failed.error["code"] == "out-of-memory"


def test_commands_for_a_dead_child_are_never_carried_out(workshop):
    redis, clock = workshop.service.events.client, workshop.service.clock
    send(redis, "dead:1:1", CommandKind.RELEASE, {"model": None}, clock.now())
    assert 0 < redis.ttl(COMMANDS + "dead:1:1") <= 30
    assert read_command(receive(redis, "dead:1:1", 1)).kind is CommandKind.RELEASE
    assert receive(redis, "dead:1:1", 0.05) is None


def test_a_command_that_cannot_be_read_is_answered_and_does_not_deafen_the_worker(workshop, client):
    until_state(client, "unloaded")
    redis = workshop.service.events.client
    worker = workshop.service.worker_status()[0]["epoch"]
    for text in ('{"id": "x1", "kind": "reload", "deadline": 9e9, "arguments": {}}', "not json"):
        redis.rpush(COMMANDS + worker, text)
    problem = await_answer(redis, "x1", 5)["problem"]
    assert "does not know the command" in problem["detail"]
    late = {"id": "x2", "kind": "release", "deadline": 1.0, "arguments": {"model": None}}
    redis.rpush(COMMANDS + worker, json.dumps(late))
    assert "too late" in await_answer(redis, "x2", 5)["problem"]["detail"]
    assert client.post("/api/gpu/offload", json={}).status_code == 200


def test_a_form_with_a_cookie_releases_nothing(workshop, client):
    workshop.submit("lease tiny_transformer")
    until_state(client, "resident")
    client.get("/")  # sets the cookie
    token = client.get_cookie("mk_csrf").value
    answer = client.post("/gpu/release", data={"csrf_token": token, "model": "tiny_convolution"})
    assert (answer.status_code, answer.json["code"]) == (400, "malformed-request")
    assert "Content-Type" in answer.json["advice"]
    assert model(client)["state"] != "unloaded"


def test_release_while_the_first_model_is_on_its_way_does_not_claim_to_be_done(client):
    until_state(client, "unloaded", "tiny_slow")
    client.post("/api/gpu/preload", json={"model": "tiny_slow"})
    refused = client.post("/api/gpu/release", json={"model": "tiny_slow"})
    assert (refused.status_code, refused.json["code"]) == (409, "model-leased")
    until_state(client, "resident", "tiny_slow")


def test_unreadable_settings_of_another_version_do_not_stop_the_worker(workshop, client):
    redis = workshop.service.events.client
    redis.hset(KEY, mapping={"policy": '"lru"'})
    os.kill(workshop.child_pid(), signal.SIGKILL)
    wait_until(lambda: not workshop.service.worker_status())
    wait_until(workshop.service.worker_status)
    assert workshop.wait_for(workshop.submit("slow").id, JobState.SUCCEEDED)
    forget_settings(redis, ["residency", "idle_offload_s", "port"])
    assert kept_settings(redis) == {}


def test_settings_are_refused_without_management(workshop, monkeypatch):
    settings = replace(workshop.settings, gpu_management=False)
    monkeypatch.setattr(workshop.service, "settings", settings)
    client = create_app(settings, workshop.service).test_client()
    refused = client.post("/api/gpu/settings", json={"policy": "resident"})
    assert (refused.status_code, refused.json["code"]) == (409, "gpu-management-off")
