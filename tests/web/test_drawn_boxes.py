"""What the page of parts is told of boxes: their mesh, their settings, and why they cannot run."""

from __future__ import annotations

import html
import json
import re

import pytest

from backend.web.pages import part_boxes
from tests.browser.parts.explorer_page import FILES
from tests.web.test_parts_api import finish

BOXES = [[[0.0, 0.0, 0.0], [1.0, 1.0, 2.0]]]
MODEL = {**FILES, "model.glb": ("model", b"glTF")}


def finished(server, pipeline, files=FILES, params=None, **inputs):
    """The page of a job with parts, and its id."""
    new = server.service.prepare(pipeline, params or {}, "row.glb")
    server.service.submit(new, {"mesh.glb": b"glTF"} | inputs)
    job_id = finish(server, files)
    return server.client.get(f"/jobs/{job_id}").text, job_id


def attribute(page, name):
    found = re.search(rf'<part-explorer[^>]* {name}="([^"]*)"', page)
    return found and html.unescape(found[1])


def told(monkeypatch, reason, looked_at="2026-01-01T00:00:00Z"):
    document = {"parts_unavailable": {"completion": reason}, "looked_at": looked_at}
    monkeypatch.setattr(part_boxes, "models_document", lambda service: document)


def test_a_new_job_takes_the_settings_of_the_job_on_whose_page_boxes_are_drawn(server):
    params = {"preset": "draft", "seed": 7, "part_cells": 128}
    page, job_id = finished(server, "complete_parts", params=params)
    assert attribute(page, "boxes-mesh") == f"/api/v1/jobs/{job_id}/files/mesh.glb"
    settings = json.loads(attribute(page, "box-settings"))
    assert {name: settings[name] for name in params} == params
    assert settings["part_steps"] is None
    assert attribute(page, "boxes-url") is None
    assert server.client.get(f"/jobs/{job_id}/boxes.json").status_code == 404


def test_boxes_that_were_sent_with_the_job_are_where_drawing_begins(server):
    given = {"boxes.json": json.dumps(BOXES).encode()}
    page, job_id = finished(server, "complete_parts", **given)
    address = attribute(page, "boxes-url")
    assert address == f"/jobs/{job_id}/boxes.json"
    assert server.client.get(address).json == BOXES
    server.service.artefacts.remove_inputs(job_id)
    assert server.client.get(address).status_code == 410


def test_a_picture_has_the_mesh_that_the_job_made(server):
    page, job_id = finished(server, "image_to_parts", MODEL)
    assert attribute(page, "boxes-mesh") == f"/api/v1/jobs/{job_id}/files/model.glb"
    assert json.loads(attribute(page, "box-settings"))["preset"] == "standard"
    assert "Edit boxes" not in finished(server, "image_to_parts")[0], "there is no model"


@pytest.mark.parametrize("looked_at", ["2026-01-01T00:00:00Z", None])
def test_where_xpart_cannot_run_one_sentence_says_why(server, monkeypatch, looked_at):
    told(monkeypatch, "its weights are not here", looked_at)
    page, _ = finished(server, "segment_parts")
    is_known = looked_at is not None
    assert ("as xpart cannot run: its weights are not here." in page) is is_known
    assert ("Edit boxes" in page) is not is_known, "unknown counts as there"
    assert (attribute(page, "boxes-mesh") is None) is is_known


@pytest.mark.parametrize(
    ("status", "is_slow"),
    [
        ({"available": False, "mode": "cpu", "worker": {"state": "idle"}}, True),
        ({"available": True, "mode": "cpu", "worker": {"state": "idle"}}, True),
        ({"available": True, "mode": "gpu", "worker": {"state": "busy"}}, False),
        ({"available": False, "mode": None, "worker": {"state": "offline"}}, False),
    ],
)
def test_it_says_that_it_takes_hours_where_a_worker_has_no_gpu(
    server, monkeypatch, status, is_slow
):
    monkeypatch.setattr(part_boxes, "gpu_status", lambda service: status)
    page, _ = finished(server, "segment_parts")
    assert ("takes hours here" in page) is is_slow
