from __future__ import annotations

import hmac
import io
import json
import logging
from datetime import timedelta

import pytest
import requests
from flask import Flask
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from backend.jobs.access.viewer import current_key_id
from backend.web.access import guard
from backend.web.access.rules import OPEN
from backend.web.request_log import JsonFormatter
from tests.profiling.made_runs import made_profile
from tests.web.conftest import gunicorn, wait_for
from tests.web.keyed import logged_in

PROBLEM = "application/problem+json"
GPU_ACTIONS = ("/api/gpu/offload", "/api/gpu/release", "/gpu/offload", "/gpu/release")


def form(png: bytes) -> dict:
    return {"pipeline": "image_to_3d", "file": (io.BytesIO(png), "doll.png")}


def submitted(caller, png: bytes, **headers) -> dict:
    answer = caller.post("/api/v1/jobs", data=form(png), headers=headers)
    assert answer.status_code == 202, answer.text
    return answer.json


def paths(app: Flask):
    """One address for every route, with the methods it takes."""
    for rule in app.url_map.iter_rules():
        values = dict.fromkeys(rule.arguments, "0" * 26)
        with app.test_request_context():
            yield (
                rule.endpoint,
                app.url_map.bind("localhost").build(rule.endpoint, values),
                sorted(rule.methods & {"GET", "POST", "PATCH", "DELETE"}),
            )


def test_without_keys_in_force_nothing_changes(server, small_png):
    assert server.submit(small_png)["status"] == "queued"
    assert server.client.post("/api/gpu/offload").status_code == 503  # no worker, but allowed
    assert server.client.get("/readyz").json["database"] == "ok"
    assert server.client.get("/login").headers["Location"] == "/"
    answer = server.client.get("/api/v1/jobs")
    assert "RateLimit" not in answer.headers
    assert server.service.access.audit.entries() == []


def test_beyond_loopback_keys_are_in_force(make_server):
    far = make_server(host="0.0.0.0")
    assert far.client.get("/api/v1/jobs").status_code == 401


def test_no_route_is_open_that_should_not_be(keyed):
    open_ones, client = set(), keyed.app.test_client(use_cookies=False)
    for endpoint, path, methods in paths(keyed.app):
        for method in methods:
            answer = client.open(path, method=method)
            if answer.status_code not in (401, 429):
                open_ones.add(endpoint)
            keyed.app.extensions["meshkiln.limits"]._here.storage.reset()
    assert open_ones == OPEN


def test_an_unknown_address_tells_a_stranger_nothing(keyed):
    assert keyed.client.get("/no/such/thing").status_code == 401


def test_strangers_learn_little_of_the_health(keyed, ann):
    assert keyed.client.get("/healthz").json == {"status": "ok"}
    assert keyed.client.get("/readyz").json == {"ready": False}
    assert ann.get("/readyz").json["database"] == "ok"


def test_none_wrong_expired_and_revoked_keys_get_the_same_answer(keyed, ann, ben):
    keys = keyed.service.access.keys
    _, expired = keys.create("old", expires_in=timedelta(microseconds=1))
    keys.revoke("ben")
    tries = (None, "Bearer mk_" + "a" * 43, f"Bearer {expired}", f"Bearer {ben.secret}",
             "Bearer", "Basic YW5uOmFubg==", f"Bearer {ann.secret}x", "Bearer \xe4")  # fmt: skip
    answers = []
    for header in tries:
        answer = keyed.client.get(
            "/api/v1/jobs", headers={"Authorization": header} if header else {}
        )
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="Meshkiln"'
        assert answer.content_type == PROBLEM
        answers.append({k: v for k, v in answer.json.items() if k != "request_id"})
    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["code"] == "unauthorized"


def test_every_text_is_looked_up_once_and_compared_in_constant_time(keyed, ann, monkeypatch):
    compared = []
    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda *a: (compared.append(a), real(*a))[1])
    for secret in (None, "", "mk_x", ann.secret):
        keyed.service.access.keys.find(secret)
    assert len(compared) == 4
    assert all(len(left) == len(right) == 64 for left, right in compared)


def test_jobs_of_others_look_like_no_jobs(keyed, ann, ben, boss, small_png):
    job = submitted(ann, small_png)
    other, unknown = job["id"], "0" * 26
    addresses = (
        ("GET", "/api/v1/jobs/{}"), ("PATCH", "/api/v1/jobs/{}"), ("DELETE", "/api/v1/jobs/{}"),
        ("POST", "/api/v1/jobs/{}/cancel"), ("POST", "/api/v1/jobs/{}/retry"),
        ("GET", "/api/v1/jobs/{}/events"), ("GET", "/api/v1/jobs/{}/files/image.png"),
        ("POST", "/api/v1/jobs/{}/share"), ("DELETE", "/api/v1/jobs/{}/share"),
        ("GET", "/api/performance/deep-profile/{}/summary.json"),
        ("GET", "/jobs/{}"), ("GET", "/jobs/{}/live"), ("GET", "/jobs/{}/picture"),
        ("GET", "/jobs/{}/picture/small"),
        ("GET", "/cutouts/{}"), ("POST", "/jobs/{}/delete"), ("POST", "/jobs/{}/cancel"),
        ("GET", "/?from={}"),
    )  # fmt: skip
    for method, address in addresses:
        body = {"json": {"name": "x"}} if method == "PATCH" else {}
        answers = [ben.ask(method, address.format(one), **body) for one in (other, unknown)]
        assert [answer.status_code for answer in answers] == [404, 404], (method, address)
        texts = [
            {k: v for k, v in answer.json.items() if k not in ("request_id", "instance")}
            for answer in answers
        ]
        assert texts[0] == texts[1], address
    assert ben.get("/api/v1/jobs").json["items"] == []
    assert job["name"] not in ben.get("/gallery", headers={"Accept": "text/html"}).text
    assert ann.get("/api/v1/jobs").json["items"][0]["id"] == other
    assert boss.get(f"/api/v1/jobs/{other}").json["status"] == "queued"


def test_selecting_a_job_of_another_does_nothing(keyed, ann, ben, small_png):
    job = submitted(ann, small_png)
    answer = ben.post("/gallery/selection", data={"action": "delete", "job": job["id"]})
    assert answer.status_code == 303
    assert ann.get(f"/api/v1/jobs/{job['id']}").status_code == 200


def test_a_retry_belongs_to_whoever_asked_for_it(keyed, ann, boss, small_png):
    job = submitted(ann, small_png)
    ann.post(f"/api/v1/jobs/{job['id']}/cancel")
    again = boss.post(f"/api/v1/jobs/{job['id']}/retry").json
    assert again["retry_of"] == job["id"]
    assert ann.get(f"/api/v1/jobs/{again['id']}").status_code == 404


def test_the_same_idempotency_key_of_two_callers_makes_two_jobs(keyed, ann, ben, small_png):
    sent = {"Idempotency-Key": "k"}
    first = submitted(ann, small_png, **sent)
    answer = ann.post("/api/v1/jobs", data=form(small_png), headers=sent)
    assert (answer.status_code, answer.json["id"]) == (200, first["id"])
    assert submitted(ben, small_png, **sent)["id"] != first["id"]


def test_runs_of_other_peoples_jobs_are_not_told(keyed, ann, ben, boss, small_png):
    job = submitted(ann, small_png)
    run = keyed.service.run_history.record(
        made_profile({"mesh_export": 1.0}), job_id=job["id"], pipeline="image_to_3d", engine={},
        settings={},        shape_key="s", batch_size=1,
    )  # fmt: skip
    listed = {
        caller: [item["run"] for item in caller.get("/api/performance/profiles").json["items"]]
        for caller in (ann, ben, boss)
    }
    assert (listed[ann], listed[ben], listed[boss]) == ([run], [], [run])
    addresses = (
        f"/api/performance/profiles/{run}", f"/api/performance/report?run={run}",
        f"/api/performance/compare?before={run}&after={run}",
    )  # fmt: skip
    for address in addresses:
        assert ben.get(address).status_code == 404, address
        assert ann.get(address).status_code == 200, address
    assert job["id"] not in ben.get("/api/performance/report?format=csv").text
    assert job["id"] in ann.get("/api/performance/report?format=csv").text


@pytest.mark.parametrize("path", GPU_ACTIONS)
def test_moving_models_needs_an_administrator(keyed, ann, boss, path):
    answer = ann.post(path)
    assert (answer.status_code, answer.json["code"]) == (403, "admin-only")
    assert boss.post(path).status_code == 503  # no worker, but allowed


def test_every_change_of_the_server_needs_an_administrator(keyed, ann):
    """Whatever is not known to concern the caller's own jobs is refused, also later routes."""
    allowed = set()
    for endpoint, path, methods in paths(keyed.app):
        if endpoint in OPEN:
            continue
        for method in set(methods) - {"GET"}:
            if ann.ask(method, path).json is None or ann.ask(method, path).json["code"] != (
                "admin-only"
            ):
                allowed.add(endpoint.partition(".")[0] if "pages" not in endpoint else endpoint)
            keyed.app.extensions["meshkiln.limits"]._here.storage.reset()
    assert allowed <= {
        "jobs", "batches", "shares", "share_forms", "webhooks", "parts", "part_picks", "textures",
        "pages.submit", "pages.cancel", "pages.retry",
        "pages.delete", "pages.rename", "pages.selection", "pages.start_cutout",
        "pages.submit_batch", "pages.batch_action", "pages.submit_mesh", "pages.submit_speech",
        "pages.texture",
    }  # fmt: skip
    assert {"jobs", "pages.submit"} <= allowed


def test_tuning_the_server_needs_an_administrator(keyed, ann, boss, small_png):
    tune = {"pipeline": "tune", "file": (io.BytesIO(small_png), "x.png")}
    assert ann.post("/api/v1/jobs", data=tune).json["code"] == "admin-only"
    tune["file"] = (io.BytesIO(small_png), "x.png")
    assert boss.post("/api/v1/jobs", data=tune).status_code == 202


def test_whose_job_a_worker_has_is_not_told_to_others(keyed, ann, ben, small_png, monkeypatch):
    job = submitted(ann, small_png)["id"]
    held = [{"id": job, "stage": "mesh_export", "progress": 90.0, "waits": False}]
    beat = {"queue": "gpu", "state": "busy", "current_job": job, "current_jobs": held,
            "stage": "mesh_export"}  # fmt: skip
    monkeypatch.setattr(keyed.service, "worker_status", lambda: [beat])
    told = [caller.get("/api/gpu/status").json["worker"] for caller in (ann, ben)]
    assert [worker["current_job"] for worker in told] == [job, None]
    assert [worker["current_jobs"] for worker in told] == [held, []]
    assert told[1]["state"] == "busy"


def test_what_administrators_do_is_written_down(keyed, ann, boss, caplog):
    service = keyed.service
    ann.post("/api/gpu/offload")
    boss.post("/api/gpu/offload")  # 503: nothing was done
    assert service.access.audit.entries() == []
    with caplog.at_level(logging.INFO, "meshkiln.audit"):
        assert boss.post("/api/performance/deep-profile", json={}).status_code == 202
    (entry,) = service.access.audit.entries()
    assert entry.action == "deep_profiles.arm"
    assert entry.actor == f"boss ({boss.key.prefix})"
    assert entry.client == "127.0.0.1"
    (record,) = [r for r in caplog.records if r.name == "meshkiln.audit"]
    assert record.fields["action"] == "deep_profiles.arm"


def test_an_entry_is_one_line_of_json_whatever_is_in_it(keyed, boss, caplog):
    forged = 'x"}\r\n{"forged": true}'
    with caplog.at_level(logging.INFO, "meshkiln.audit"):
        keyed.service.access.audit.record("a", forged, actor=forged, note=forged)
    (record,) = [r for r in caplog.records if r.name == "meshkiln.audit"]
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert "\r" not in line
    assert json.loads(line)["target"] == forged
    assert keyed.service.access.audit.entries()[0].target == forged


def test_a_key_is_its_own_permission_but_a_cookie_needs_the_form_token(keyed, ann, small_png):
    """Abuse row 34: another site can make a browser send its cookie, and nothing else."""
    assert ann.post("/api/v1/jobs", data=form(small_png)).status_code == 202
    browser, token = logged_in(keyed, ann.secret)
    bare = browser.post("/api/v1/jobs", data=form(small_png))
    assert (bare.status_code, bare.json["code"]) == (403, "csrf-failed")
    foreign = browser.post(
        "/api/v1/jobs",
        data=form(small_png) | {"csrf_token": token},
        headers={"Origin": "https://evil.example"},
    )
    assert (foreign.status_code, foreign.json["code"]) == (403, "forbidden-origin")
    sent = {"X-CSRF-Token": token, "Origin": "http://localhost"}
    assert browser.post("/api/v1/jobs", data=form(small_png), headers=sent).status_code == 202
    browser.delete_cookie("mk_csrf")
    assert browser.post("/api/v1/jobs", data=form(small_png)).status_code == 403
    assert keyed.count() == 2


def test_sockets_of_other_sites_are_refused_before_the_upgrade(keyed, ann):
    """Abuse row 35."""
    browser, _ = logged_in(keyed, ann.secret)
    socket = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
              "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}  # fmt: skip
    evil = browser.get("/ws/gpu", headers=socket | {"Origin": "http://evil.example"})
    bare = browser.get("/ws/gpu", headers=socket)
    assert [evil.status_code, bare.status_code] == [403, 403]
    assert keyed.client.get("/ws/gpu", headers=socket).status_code == 401


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil"])
def test_other_names_of_the_server_are_refused_before_the_key_is_asked(keyed, ann, host):
    """Abuse row 36: a page of another site may resolve its own name to this machine."""
    answer = ann.get("/api/v1/jobs", headers={"Host": host})
    assert answer.status_code in (400, 421)


def test_identifiers_of_every_kind_are_the_same_404(keyed, ann, ben, small_png):
    """Abuse rows 32 and 33."""
    job = submitted(ann, small_png)["id"]
    for odd in ("..%2fx", "%2e%2e%2f", "x" * 300, job + "%00", "%00", job.upper()):
        assert ben.get(f"/api/v1/jobs/{odd}").status_code == 404, odd
    for odd in ("..%2f..%2fmeshkiln.sqlite3", "%00", "image.png%00", "%2fetc%2fpasswd", "...."):
        answer = ann.get(f"/api/v1/jobs/{job}/files/{odd}")
        assert (answer.status_code, answer.json["code"]) == (404, "not-found"), odd
    assert ann.get("/api/v1/jobs?q=%00").status_code == 422


def test_a_socket_ends_soon_after_its_key(keyed, ann, monkeypatch):
    moments = iter([0.0, 5.0, 20.0, 20.0])
    monkeypatch.setattr(keyed.service.clock, "monotonic_s", lambda: next(moments), raising=False)
    with keyed.app.test_request_context("/ws/gpu", headers=ann.headers):
        guard.g.admission = guard._authenticate(keyed.service.access)
        keyed.service.access.keys.revoke("ann")
        assert guard.watch_admission()()  # not looked up yet
        assert not guard.watch_admission()()


@pytest.mark.parametrize("by_cookie", [False, True])
def test_an_event_stream_ends_with_its_key(keyed, ann, small_png, monkeypatch, by_cookie):
    monkeypatch.setattr(guard, "RECHECK_S", 0.0)
    monkeypatch.setattr("backend.web.events_sse.IDLE_S", 0.01)
    job = submitted(ann, small_png)["id"]
    client, headers = keyed.app.test_client(), ann.headers
    if by_cookie:
        client, headers = logged_in(keyed, ann.secret)[0], {}
    stream = client.get(f"/api/v1/jobs/{job}/events", headers=headers).iter_encoded()
    assert next(stream).startswith(b"retry:")
    assert b"snapshot" in next(stream)
    keyed.service.access.keys.revoke("ann")
    assert list(stream) == []


def test_nobody_is_the_viewer_after_a_request(keyed, ann):
    ann.get("/api/v1/jobs")
    assert current_key_id() is None


@pytest.mark.server
def test_a_running_server_asks_for_keys(tmp_path, redis_address, small_png):
    with gunicorn(tmp_path / "data", redis_address, require_key=True, submits_per_min=5) as web:
        _, secret = web.service.access.keys.create("ann")
        mine = {"Authorization": f"Bearer {secret}"}
        assert requests.get(f"{web.http}/api/v1/jobs", timeout=5).status_code == 401
        with pytest.raises(InvalidStatus) as refused, connect(f"{web.ws}/ws/gpu"):
            pass
        assert refused.value.response.status_code == 401
        with connect(f"{web.ws}/ws/gpu", additional_headers=mine) as socket:
            assert json.loads(socket.recv(timeout=5))
        answers = [
            requests.post(
                f"{web.http}/api/v1/jobs",
                headers=mine,
                data={"pipeline": "image_to_3d"},
                files={"file": ("x.png", small_png)},
                timeout=5,
            )
            for _ in range(8)
        ]
        assert [answer.status_code for answer in answers] == [202] * 5 + [429] * 3
        assert int(answers[-1].headers["Retry-After"]) > 0
        wait_for(lambda: web.service.access.keys.all_keys()[0].last_used_at)
