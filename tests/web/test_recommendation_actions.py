"""Advice applied, reverted and dismissed over HTTP, by scripts and by forms."""

from __future__ import annotations

import copy

import pytest

from backend.jobs.setting_overrides import Scope
from backend.profiling.experiment import ExperimentState
from backend.web.api import recommendation_actions
from backend.web.api.openapi import document
from tests.web.conftest import wait_for

WORK = {"pipeline": "image_to_3d", "shape_key": "image_to_3d:standard:auto:textured"}
BASE = "/api/performance/recommendations"
ENCODING = "slow_encoding.mesh_export"


def advice_item(advice_id, setting=None, old=None, new=None, **fields):
    action = setting and {
        "setting": setting, "from": old, "to": new, "needs_restart": False, "available": True,
    }  # fmt: skip
    return {
        "id": advice_id,
        "title": f"About {advice_id}",
        "action": action,
        "gain": {"s_per_job": 0.4, "pct": 20.0, "low": 0.3, "high": 0.5, "ceiling": 0.6},
        "quality_risk": "none",
    } | fields


ITEMS = [
    advice_item(ENCODING, "export_compression", 9, 1),
    advice_item("throttled.job", gain=None),
    advice_item("steps.shape_generation", "export_threads", 1, 2, quality_risk="lossy"),
    advice_item("compile.shape_generation", "compile_models", False, True),
    advice_item("cpu_in_the_way.mesh_export", "export_threads", 3, 4),
    advice_item("idle_timeout.job", "idle_offload_s", 60.0, -1.0),
]
for blocked in (ITEMS[3], ITEMS[5]):
    blocked["action"]["available"] = False


@pytest.fixture
def book(monkeypatch):
    """What the rules say, as a test scripts it; remembers for which work it was asked."""
    script = {"items": copy.deepcopy(ITEMS), **WORK, "asked": []}

    def recommendations_document(_service, pipeline=None, shape_key=None):
        script["asked"].append((pipeline, shape_key))
        return script | {"pipeline": pipeline or WORK["pipeline"],
                         "shape_key": shape_key or WORK["shape_key"]}  # fmt: skip

    monkeypatch.setattr(
        recommendation_actions, "recommendations_document", recommendations_document
    )
    return script


@pytest.fixture
def slow(make_server, book):
    """A server that was started with the slowest compression."""
    return make_server(export_compression=9)


def post(server, advice_id, verb, **body):
    return server.client.post(f"{BASE}/{advice_id}/{verb}", json=body)


def test_apply_begins_a_trial_on_the_work_it_was_made_for(slow):
    answer = post(slow, ENCODING, "apply")
    assert answer.status_code == 200
    found = answer.json["experiment"]
    named = document()["components"]["schemas"]["Experiment"]["properties"]
    assert set(found) == set(named)
    assert {name: found[name] for name in WORK} == WORK
    assert (found["from"], found["to"], found["state"]) == (9, 1, "applied")
    (stored,) = slow.service.tuning.experiments()
    assert stored.experiment.evidence == 0.4
    assert found["applied_at"].endswith("Z")


def test_the_request_may_name_the_work(slow, book):
    other = {"pipeline": "image_to_3d", "shape_key": "image_to_3d:draft:auto:textured"}
    assert post(slow, ENCODING, "apply", **other).json["experiment"]["shape_key"].count("draft")
    assert book["asked"] == [tuple(other.values())]


def test_a_setting_is_tried_once_at_a_time(slow):
    post(slow, ENCODING, "apply")
    again = post(slow, ENCODING, "apply")
    assert (again.status_code, again.json["code"]) == (409, "experiment-running")
    assert again.json["advice"]


def test_evidence_that_is_gone_is_told_from_what_never_was(slow, book):
    book["items"] = []
    gone = post(slow, ENCODING, "apply")
    assert (gone.status_code, gone.json["code"]) == (409, "advice-outdated")
    never = post(slow, "nonsense.mesh_export", "apply")
    assert (never.status_code, never.json["code"]) == (404, "not-found")
    assert post(slow, "nonsense", "dismiss").status_code == 404
    assert post(slow, "nonsense", "revert").status_code == 404


@pytest.mark.parametrize(
    "advice_id",
    ["throttled.job", "steps.shape_generation", "compile.shape_generation", "idle_timeout.job"],
)
def test_what_only_a_person_or_a_restart_can_do_is_refused(slow, advice_id):
    answer = post(slow, advice_id, "apply")
    assert (answer.status_code, answer.json["code"]) == (422, "invalid-parameter")
    assert slow.service.tuning.experiments() == []


def test_a_setting_that_has_changed_since_is_refused(slow):
    answer = post(slow, "cpu_in_the_way.mesh_export", "apply")
    assert (answer.status_code, answer.json["code"]) == (409, "advice-outdated")
    assert "1 by now" in answer.json["detail"]


def test_revert_by_the_id_of_the_advice_or_of_the_trial(slow):
    trial = post(slow, ENCODING, "apply").json["experiment"]
    reverted = post(slow, trial["id"], "revert").json["experiment"]
    assert (reverted["state"], reverted["id"]) == ("dismissed", trial["id"])
    assert post(slow, ENCODING, "revert").status_code == 409


def test_revert_is_of_the_work_that_is_named(slow):
    draft = {"pipeline": "image_to_3d", "shape_key": "image_to_3d:draft:auto:textured"}
    trial = post(slow, ENCODING, "apply", **draft).json["experiment"]
    assert post(slow, ENCODING, "revert", **WORK).status_code == 404
    assert slow.service.tuning.experiments()[0].experiment.state is ExperimentState.APPLIED
    reverted = post(slow, ENCODING, "revert", **draft)
    assert (reverted.status_code, reverted.json["experiment"]["id"]) == (200, trial["id"])


def test_a_trial_elsewhere_is_named(slow):
    draft = {"pipeline": "image_to_3d", "shape_key": "image_to_3d:draft:auto:textured"}
    trial = post(slow, ENCODING, "apply", **draft).json["experiment"]
    refused = post(slow, ENCODING, "apply").json
    assert draft["shape_key"] in refused["detail"]
    assert trial["id"] in refused["detail"]


def test_advice_is_compared_with_what_jobs_of_its_pipeline_run_with(slow):
    slow.service.tuning.adopt({"export_compression": 3}, Scope("cut_out"))
    assert post(slow, ENCODING, "apply").status_code == 200
    slow.service.tuning.adopt({"export_compression": 3}, Scope("image_to_3d"))
    refused = post(slow, ENCODING, "apply")
    assert (refused.status_code, refused.json["code"]) == (409, "advice-outdated")
    assert "3 by now" in refused.json["detail"]


def test_dismiss_keeps_the_strength_of_the_evidence(slow):
    assert post(slow, ENCODING, "dismiss").json["experiment"]["state"] == "dismissed"
    test = slow.service.tuning.tests(**WORK)[ENCODING]
    assert (test.state, test.evidence) == (ExperimentState.DISMISSED, 0.4)
    assert post(slow, "throttled.job", "dismiss").status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [({"pipeline": "image_to_3d"}, 400), ({"pipeline": 1, "shape_key": "x"}, 422), ({"n": 1}, 422)],
)
def test_wrong_bodies_are_refused(slow, body, status):
    assert post(slow, ENCODING, "apply", **body).status_code == status


def token_of(client):
    """Fetch a page that sets the cookie, as a browser does."""
    client.get("/")
    return wait_for(lambda: client.get_cookie("mk_csrf")).value


def test_a_form_is_led_back_to_its_page(slow):
    form = {"csrf_token": token_of(slow.client), **WORK}
    answer = slow.client.post(f"{BASE}/{ENCODING}/apply", data=form)
    assert answer.status_code == 303
    assert answer.headers["Location"] == (
        "/performance?pipeline=image_to_3d&shape=image_to_3d%3Astandard%3Aauto%3Atextured"
    )
    assert len(slow.service.tuning.experiments()) == 1


def test_a_form_that_is_refused_is_told_why_in_words(slow):
    form = {"csrf_token": token_of(slow.client)}
    answer = slow.client.post(f"{BASE}/throttled.job/apply", data=form)
    assert answer.status_code == 422
    assert answer.mimetype == "text/html"
    assert "cannot be put to the test while the server runs" in answer.text


def test_forms_need_their_token_and_their_origin(slow):
    url = f"{BASE}/{ENCODING}/apply"
    assert slow.client.post(url, data=WORK).status_code == 403
    token_of(slow.client)
    assert slow.client.post(url, data=WORK | {"csrf_token": "x"}).status_code == 403
    foreign = {"Origin": "https://evil.example"}
    assert slow.client.post(url, json={}, headers=foreign).json["code"] == "forbidden-origin"
    assert slow.service.tuning.experiments() == []
