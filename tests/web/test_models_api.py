"""The list of models, and licences accepted through the API and the page."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backend.catalog import ShapeModel
from backend.jobs.model_shelf import KEY, read_shelf, write_shelf
from backend.web.api.models import MODEL_IDS
from tests.web.keyed import Caller, logged_in

URL = "/api/v1/models"
LICENCE = {
    "id": "tencent-hunyuan3d-2.0",
    "title": "Tencent Hunyuan 3D 2.0 Community License",
    "points": ["It does not apply in the European Union."],
    "needs_acceptance": True,
}


def row(model_id: str = "hunyuan3d-2.0", state: str = "licence_needed", **more: Any):
    return {
        "id": model_id, "title": "Hunyuan3D 2.0", "kind": "shape",
        "repository": "tencent/Hunyuan3D-2", "published_at": "huggingface.co/tencent/Hunyuan3D-2",
        "needs": [], "uses": [],
        "state": state, "missing": [], "unsupported": None, "revision": "c" * 40,
        "size_bytes": 4_930_000_000, "download_gb": 4.93, "views": 1, "steps": 50,
        "guidance": 5.0, "licence": LICENCE, "accepted": state == "ready", "accepted_at": None,
        "pull_command": f"python -m backend models pull {model_id}",
    } | more  # fmt: skip


def shelf(*rows: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {
        "models": list(rows),
        "reason_unavailable": reason,
        "parts_unavailable": {"segmentation": None, "completion": "its weights are not here"},
        "texture_unavailable": "no weights of a model are here",
        "looked_at": "2026-11-21T19:00:00.000Z",
    }


@pytest.fixture
def live(live_server):
    live_server.service.looks.client.delete(KEY)
    yield live_server
    live_server.service.looks.client.delete(KEY)


def put(server, *rows: dict[str, Any], reason: str | None = None) -> None:
    write_shelf(server.service.looks.client, shelf(*rows, reason=reason))


def recorded(server) -> list[dict[str, Any]]:
    file = server.service.settings.data_dir / "models" / "accepted_licences.json"
    return json.loads(file.read_text())["accepted"] if file.exists() else []


def test_without_a_worker_the_names_are_listed_and_nothing_is_claimed(server):
    answer = server.client.get(URL)
    assert answer.status_code == 200
    assert [model["id"] for model in answer.json["items"]] == list(MODEL_IDS)
    assert ShapeModel.AUTO not in MODEL_IDS
    assert {"p3-sam", "x-part", "hunyuan3d-paint-2.1", "dinov2-giant"} < set(MODEL_IDS)
    assert answer.json["texture_unavailable"] == answer.json["reason_unavailable"]
    assert set(answer.json["parts_unavailable"]) == {"segmentation", "completion"}
    assert None not in answer.json["parts_unavailable"].values()
    assert answer.json["looked_at"] is None
    assert {model["state"] for model in answer.json["items"]} == {"unknown"}
    assert {model["accepted"] for model in answer.json["items"]} == {None}


def test_the_list_is_what_the_worker_said_last(live):
    put(live, row(), reason="not accepted")
    answer = live.client.get(URL).json
    assert answer["items"] == [row()]
    assert answer["reason_unavailable"] == "not accepted"
    assert answer["parts_unavailable"]["segmentation"] is None
    assert "weights" in answer["parts_unavailable"]["completion"]
    assert "weights" in answer["texture_unavailable"]


def test_what_a_worker_said_is_forgotten_when_it_falls_silent(live):
    put(live, row())
    client = live.service.looks.client
    assert 0 < client.ttl(KEY) <= 75
    client.delete(KEY)
    assert read_shelf(client) is None


def test_a_licence_is_recorded_once_and_audited(server):
    first = server.client.post(f"{URL}/hunyuan3d-2.0/accept", json={"accept": True})
    assert first.status_code == 200, first.text
    assert first.json["licence"] == "tencent-hunyuan3d-2.0"
    assert first.json["accepted"] is True
    second = server.client.post(f"{URL}/hunyuan3d-2mini/accept", json={"accept": True})
    assert second.json["accepted_at"] == first.json["accepted_at"]
    assert [each["licence"] for each in recorded(server)] == ["tencent-hunyuan3d-2.0"]
    entries = server.service.access.audit.entries()
    assert ("licence.accepted", "hunyuan3d-2.0") in [(e.action, e.target) for e in entries]


def test_the_licence_of_parts_holds_for_both_models(server):
    first = server.client.post(f"{URL}/p3-sam/accept", json={"accept": True})
    assert first.json["licence"] == "tencent-hunyuan3d-part", first.text
    assert [each["licence"] for each in recorded(server)] == ["tencent-hunyuan3d-part"]


@pytest.mark.parametrize("body", [{}, {"accept": False}, {"accept": "yes"}])
def test_only_a_plain_yes_accepts(server, body):
    answer = server.client.post(f"{URL}/hunyuan3d-2.0/accept", json=body)
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "/accept"
    assert recorded(server) == []


@pytest.mark.parametrize("name", ["nothing", "auto", "--help"])
def test_a_model_that_does_not_exist_is_not_found(server, name):
    answer = server.client.post(f"{URL}/{name}/accept", json={"accept": True})
    assert (answer.status_code, answer.json["code"]) == (404, "unknown-model")


def test_a_record_that_cannot_be_written_is_told(server):
    (server.service.settings.data_dir / "models").write_text("in the way")
    answer = server.client.post(f"{URL}/hunyuan3d-2.0/accept", json={"accept": True})
    assert answer.status_code == 500
    assert "models accept hunyuan3d-2.0" in answer.json["advice"]


def test_only_an_administrator_accepts(make_server):
    server = make_server(require_key=True)
    admin, member = Caller(server, "root", is_admin=True), Caller(server, "ann")
    refused = member.post(f"{URL}/hunyuan3d-2.0/accept", json={"accept": True})
    assert (refused.status_code, refused.json["code"]) == (403, "admin-only")
    browser, token = logged_in(server, member.secret)
    form = {"csrf_token": token, "accept": "yes"}
    assert browser.post("/models/hunyuan3d-2.0/accept", data=form).status_code == 403
    assert recorded(server) == []
    assert member.get(URL).status_code == 200
    assert admin.post(f"{URL}/hunyuan3d-2.0/accept", json={"accept": True}).status_code == 200
    assert len(recorded(server)) == 1
