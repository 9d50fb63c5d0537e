from __future__ import annotations

import io
import json
import re
from datetime import timedelta

import pytest
from sqlalchemy import text

from tests.web.keyed import Caller, logged_in

FILES = {"model.glb": b"glTF" * 50, "model_stl.stl": b"stl" * 50, "thumbnail.png": b"png" * 50,
         "cutout.png": b"cut" * 50, "profile.json": b"{}"}  # fmt: skip


@pytest.fixture
def keyed(make_server):
    return make_server(require_key=True, share_links=True)


@pytest.fixture
def ann(keyed):
    return Caller(keyed, "ann")


@pytest.fixture
def stranger(keyed):
    return Stranger(keyed)


class Stranger:
    """A browser without a key."""

    def __init__(self, server) -> None:
        self._client = server.app.test_client()

    def get(self, path):
        return self._client.get(path, buffered=True)

    def post(self, path):
        return self._client.post(path)


@pytest.fixture
def job(keyed, ann, small_png):
    return make_job(keyed, ann, small_png)


def make_job(keyed, caller, png, files=FILES, **fields):
    data = {"pipeline": "image_to_3d", "file": (io.BytesIO(png), "doll.png"), **fields}
    made = caller.post("/api/v1/jobs", data=data).json
    keyed.finish(keyed.claim(), files)
    return made


def shared(caller, job, **body) -> str:
    answer = caller.post(f"/api/v1/jobs/{job['id']}/share", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json["url"]


def test_a_link_shows_the_model_and_its_downloads_to_anybody(ann, job, stranger):
    url = shared(ann, job)
    assert re.fullmatch(r"/s/[A-Za-z0-9_-]{43}", url)
    page = stranger.get(url)
    assert page.status_code == 200
    assert f"{url}/model.glb" in page.text
    answer = stranger.get(f"{url}/model.glb")
    assert (answer.status_code, answer.data) == (200, FILES["model.glb"])
    assert "attachment" in stranger.get(f"{url}/model_stl.stl").headers["Content-Disposition"]


def test_a_link_to_parts_shows_all_of_them(ann, keyed, stranger, small_png):
    url = shared(ann, make_job(keyed, ann, small_png, {"parts.glb": b"glTF" * 50}))
    page = stranger.get(url)
    assert f'data-model="{url}/parts.glb"' in page.text
    assert "All parts" in page.text


def test_a_link_shows_nothing_else(ann, keyed, job, stranger, small_png):
    url = shared(ann, job)
    other = make_job(keyed, ann, small_png, name="secret")
    page = stranger.get(url).text
    assert job["id"] not in page
    assert ann.key.prefix not in page
    assert "Log out" not in page
    for name in ("cutout.png", "profile.json", "image.png", "%2e%2e", "model.glb%00"):
        assert stranger.get(f"{url}/{name}").status_code == 404, name
    for address in (f"/jobs/{job['id']}", f"/api/v1/jobs/{job['id']}", f"/jobs/{other['id']}"):
        assert stranger.get(address).status_code == 401
    assert stranger.post(url).status_code in (401, 405)


def test_answers_keep_the_address_to_themselves(ann, job, stranger):
    url = shared(ann, job)
    for address in (url, f"{url}/model.glb", "/s/" + "a" * 43):
        answer = stranger.get(address)
        assert "Set-Cookie" not in answer.headers
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "noindex" in answer.headers["X-Robots-Tag"]
        assert "no-store" in answer.headers["Cache-Control"]


def test_links_end(ann, keyed, job, stranger, monkeypatch):
    url, longer = shared(ann, job), shared(ann, job, expires_days=30)
    now = keyed.service.clock.now()
    links = keyed.service.access.links
    monkeypatch.setattr(
        links, "_clock", type("C", (), {"now": lambda _: now + timedelta(days=8)})()
    )
    assert stranger.get(url).status_code == 404
    assert stranger.get(f"{url}/model.glb").status_code == 404
    assert stranger.get(longer).status_code == 200
    assert len(ann.get(f"/api/v1/jobs/{job['id']}/share").json["items"]) == 1


def test_links_are_taken_back_and_what_is_gone_looks_as_if_it_never_was(ann, job, stranger):
    url = shared(ann, job)
    assert ann.ask("DELETE", f"/api/v1/jobs/{job['id']}/share").status_code == 204
    assert stranger.get(url).status_code == 404
    assert stranger.get(url).text == stranger.get("/s/" + "a" * 43).text


def test_a_deleted_job_is_shown_to_nobody(ann, job, stranger):
    url = shared(ann, job)
    ann.ask("DELETE", f"/api/v1/jobs/{job['id']}")
    assert stranger.get(url).status_code == 404


def test_the_token_is_not_stored_and_links_are_written_down(ann, keyed, job):
    shared(ann, job)
    ann.ask("DELETE", f"/api/v1/jobs/{job['id']}/share")
    entries = keyed.service.access.audit.entries()
    assert [entry.action for entry in entries] == ["share.created", "share.revoked"]
    token = shared(ann, job).rpartition("/")[2]
    with keyed.service.store.engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM share_links")).all()
    assert len(rows) == 1
    assert token not in str(rows)
    assert token not in str(keyed.service.access.audit.entries())


def test_sharing_is_off_unless_the_server_allows_it(make_server, small_png, tmp_path):
    closed = make_server(require_key=True)
    ann = Caller(closed, "ann")
    job = make_job(closed, ann, small_png)
    answer = ann.post(f"/api/v1/jobs/{job['id']}/share", json={})
    assert (answer.status_code, answer.json["code"]) == (403, "sharing-off")
    token, _ = closed.service.access.links.create(job["id"], timedelta(days=1))
    assert closed.client.get(f"/s/{token}").status_code == 404


@pytest.mark.parametrize("days", [0, -1, 91, "7", True])
def test_odd_times_are_refused(ann, job, days):
    answer = ann.post(f"/api/v1/jobs/{job['id']}/share", json={"expires_days": days})
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"].endswith("expires_days")


def test_a_job_without_a_model_is_not_shared(ann, small_png, keyed):
    data = {"pipeline": "image_to_3d", "file": (io.BytesIO(small_png), "doll.png")}
    job = ann.post("/api/v1/jobs", data=data).json
    answer = ann.post(f"/api/v1/jobs/{job['id']}/share", json={})
    assert (answer.status_code, answer.json["code"]) == (409, "job-not-finished")


def test_the_button_of_the_job_page_shows_the_link_once(ann, keyed, job, stranger):
    browser, token = logged_in(keyed, ann.secret)
    assert 'id="share"' in browser.get(f"/jobs/{job['id']}").text
    page = browser.post(f"/jobs/{job['id']}/share", data={"csrf_token": token})
    url = re.search(r'value="http://localhost(/s/[^"]+)"', page.text)[1]
    assert stranger.get(url).status_code == 200
    answer = browser.post(f"/jobs/{job['id']}/unshare", data={"csrf_token": token})
    assert answer.status_code == 303
    assert stranger.get(url).status_code == 404


def test_somebody_who_is_logged_in_sees_what_others_shared(ann, keyed, job):
    ben = Caller(keyed, "ben")
    url = shared(ann, job)
    assert ben.get(url).status_code == 200
    assert ben.get(f"{url}/model.glb").data == FILES["model.glb"]
    assert json.loads(ben.get("/api/v1/jobs").text)["items"] == []


def test_the_log_of_requests_does_not_tell_the_token(keyed, stranger, caplog):
    caplog.set_level("INFO", logger="meshkiln.request")
    for path in ("/s/secret-token", "/s/secret-token/model.glb"):
        stranger.get(path)
    told = [record.fields["path"] for record in caplog.records]
    assert told == ["/s/(token)", "/s/(token)/model.glb"]
