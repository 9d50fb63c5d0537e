"""``/api/performance/deep-profile`` and the panel on the page."""

from __future__ import annotations

import re

import pytest

from backend.jobs.claims import ClaimedJob
from backend.web.api import deep_profiles
from backend.web.api.openapi import document
from backend.web.security import CSRF_COOKIE

URL, PAGE = "/api/performance/deep-profile", "/performance/deep-profile"
JOB = "0" * 25 + "7"


@pytest.fixture
def profiled(server):
    """A finished profile with a call tree."""
    deep = server.service.deep_profiles
    deep.arm("image_to_3d")
    run = deep.claim(ClaimedJob(JOB, "image_to_3d", {}, (), (), "test:1:1", 1))
    folder = server.service.settings.data_dir / "deep" / JOB
    (folder / "pyinstrument.html").write_text("<p>tree</p>")
    (folder / "torch_trace.json.gz").write_bytes(b"\x1f\x8b")
    run.finish("r", 2.5)
    return server


def token(server):
    page = server.client.get("/performance").text
    return re.search(r'name="csrf_token" value="([^"]+)"', page)[1]


def test_order_state_and_taking_back(server):
    assert server.client.get(URL).json["state"] == "idle"
    answer = server.client.post(URL, json={"pipeline": "image_to_3d"})
    assert answer.status_code == 202
    assert (answer.json["state"], answer.json["pipeline"]) == ("armed", "image_to_3d")
    assert server.client.post(URL, json={}).status_code == 409
    assert server.client.delete(URL).json["state"] == "idle"
    assert server.client.delete(URL).status_code == 200


def test_an_empty_body_means_any_pipeline(server):
    assert server.client.post(URL).json["pipeline"] is None


@pytest.mark.parametrize(
    ("body", "status"),
    [({"pipeline": "x"}, 422), ({"pipeline": 5}, 422), ({"pipelines": "x"}, 422)],
)
def test_a_wrong_order_is_refused(server, body, status):
    answer = server.client.post(URL, json=body)
    assert answer.status_code == status
    assert answer.json["advice"]
    assert server.client.get(URL).json["state"] == "idle"


def test_a_refusal_says_what_to_do(server):
    server.client.post(URL)
    problem = server.client.post(URL).json
    assert "already" in problem["detail"]
    assert "take the order back" in problem["advice"]


def test_another_site_cannot_order(server):
    answer = server.client.post(URL, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403
    assert server.client.get(URL).json["state"] == "idle"


def test_answers_have_the_documented_members(profiled):
    found = profiled.client.get(URL).json
    schema = document()["components"]["schemas"]["DeepProfiles"]
    assert set(found) == set(schema["properties"])
    item_schema = schema["properties"]["items"]["items"]
    assert set(found["items"][0]) == set(item_schema["properties"])


def test_files_come_as_what_they_are(profiled):
    (item,) = profiled.client.get(URL).json["items"]
    kinds = {}
    for file in item["files"]:
        answer = profiled.client.get(file["url"])
        assert answer.status_code == 200
        kinds[file["name"]] = (
            answer.mimetype,
            answer.headers["Content-Disposition"].split(";")[0],
        )
        answer.close()
    assert kinds == {
        "pyinstrument.html": ("text/html", "inline"),
        "torch_trace.json.gz": ("application/gzip", "attachment"),
        "summary.json": ("application/json", "attachment"),
    }


def test_the_call_tree_can_reach_nothing(profiled):
    answer = profiled.client.get(f"{URL}/{JOB}/pyinstrument.html")
    answer.close()
    policy = answer.headers["Content-Security-Policy"]
    directives = dict(part.strip().partition(" ")[::2] for part in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["sandbox"] == "allow-scripts", "an origin of its own: no cookies"
    assert "connect-src" not in directives, "the default holds: nothing"
    assert not re.search(r"https?:|\*|'self'", policy)


@pytest.mark.parametrize(
    "path", [f"{JOB}/armed.json", f"{JOB}/..%2Farmed.json", "..%2f..%2f/summary.json", f"{JOB}/x"]
)
def test_no_other_file_is_sent(profiled, path):
    assert profiled.client.get(f"{URL}/{path}").status_code == 404


def test_a_missing_profiler_is_told_with_advice(server, monkeypatch):
    monkeypatch.setattr(deep_profiles.importlib.util, "find_spec", lambda _name: None)
    (missing,) = server.client.get(URL).json["missing"]
    assert "pip install pyinstrument" in missing["advice"]
    assert "pip install pyinstrument" in server.client.get("/performance").text


def test_the_form_works_without_a_script(server):
    form = {"csrf_token": token(server), "action": "arm", "pipeline": ""}
    answer = server.client.post(PAGE, data=form)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/performance#")
    page = server.client.get("/performance").text
    assert 'data-state="armed"' in page
    assert "Do not profile it" in page
    refused = server.client.post(PAGE, data=form, headers={"Accept": "text/html"})
    assert refused.status_code == 409
    assert "take the order back" in refused.text
    server.client.post(PAGE, data=form | {"action": "disarm"})
    assert 'data-state="idle"' in server.client.get("/performance").text


def test_the_form_needs_its_token(server):
    server.client.get("/performance")
    assert server.client.get_cookie(CSRF_COOKIE) is not None
    assert server.client.post(PAGE, data={"action": "arm"}).status_code == 403


def test_with_a_script_only_the_panel_comes_back(server):
    form = {"csrf_token": token(server), "action": "arm", "pipeline": "cut_out"}
    answer = server.client.post(PAGE, data=form, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert "<html" not in answer.text
    assert 'data-state="armed"' in answer.text
    assert "Find the object in a picture" in answer.text
    refused = server.client.post(PAGE, data=form, headers={"HX-Request": "true"})
    assert refused.status_code == 409
    assert refused.headers["HX-Retarget"] == "#deep-message"
    assert "take the order back" in refused.text


def test_the_panel_lists_profiles_with_their_files(profiled):
    part = profiled.client.get(PAGE).text
    assert f'data-job="{JOB}" data-state="finished"' in part
    assert "2.5 s" in part or "2.50 s" in part
    for name in ("pyinstrument.html", "torch_trace.json.gz", "summary.json"):
        assert f"{URL}/{JOB}/{name}" in part
