from __future__ import annotations

import io
import json
import re

import pytest

from backend.catalog import CompletePartsParams, CompletionParams, PipelineName
from backend.web.pages import draft_time, mesh_form
from tests.jobs.parts.made_tree import row_of_boxes, surface_glb
from tests.web.meshes import without_child  # noqa: F401


def send(post, data: bytes):
    file = {"file": (io.BytesIO(data), "row.glb")} if data else {}
    return post("/submit-mesh", pipeline="segment_parts", part_count="", **file)


def test_a_mesh_becomes_a_job_without_javascript(post, client, service):
    answer = send(post, surface_glb(*row_of_boxes(2)))
    assert answer.status_code == 303, answer.text
    job = service.store.list().items[0]
    assert answer.headers["Location"] == f"/jobs/{job.id}"
    assert (job.pipeline, job.name) == (PipelineName.SEGMENT_PARTS, "row.glb")
    assert job.params["part_count"] is None
    page = client.get(f"/jobs/{job.id}").text
    assert "Find the parts" in page
    assert "part-explorer" not in page.split("</head>")[1], "there are no parts yet"
    assert "Duplicate with changes" not in page
    assert client.get(f"/?from={job.id}").status_code == 200


@pytest.mark.parametrize(("data", "status"), [(b"", 400), (b"no mesh at all", 415)])
def test_what_is_no_mesh_is_refused(post, service, data, status):
    answer = send(post, data)
    assert answer.status_code == status
    assert list(service.store.list().items) == []


def test_the_page_asks_for_a_mesh_and_for_pictures(client):
    page = client.get("/").text
    assert 'name="pipeline" value="image_to_3d" checked>' in page
    assert 'name="pipeline" value="image_to_parts">' in page
    assert 'id="mesh-file"' in page
    assert "up to 256 MB" in page


@pytest.mark.parametrize("pipeline", ["image_to_3d", "tune", "nonsense"])
def test_a_pipeline_that_takes_no_mesh_is_refused(post, service, pipeline):
    file = {"file": (io.BytesIO(surface_glb(*row_of_boxes(2))), "row.glb")}
    answer = post("/submit-mesh", pipeline=pipeline, **file)
    assert answer.status_code == 422, answer.text
    assert list(service.store.list().items) == []


def models(segmentation=None, completion=None):
    reasons = {"segmentation": segmentation, "completion": completion}
    return lambda _service: {"items": [], "looked_at": "now", "parts_unavailable": reasons}


def form_of(client):
    page = client.get("/").text
    return page[page.index('id="mesh-form"') : page.index('id="tool-form"')]


def test_every_parameter_of_parts_has_a_field_with_a_label(client):
    form = form_of(client)
    elsewhere = {"seed", "granularity", "part_count"}
    for name in set(CompletePartsParams.model_fields) - elsewhere:
        assert f'<label for="mesh-p-{name}">' in form, name
    assert 'name="part_count"' in form
    ids = re.findall(r'\sid="([^"]+)"', client.get("/").text)
    assert len(ids) == len(set(ids))


def test_an_engine_that_is_not_available_cannot_be_chosen_and_says_why(client, monkeypatch):
    monkeypatch.setattr(mesh_form, "models_document", models(segmentation="no weights are here"))
    form = form_of(client)
    assert '<option value="p3sam" disabled>p3sam (network): not available</option>' in form
    assert "p3sam: no weights are here." in form
    assert '<option value="xpart">xpart (network)</option>' in form
    assert 'id="mesh-network" data-available="false"' in form
    assert 'id="mesh-completion" data-available="true"' in form


def test_where_the_network_is_there_its_form_tells_what_a_draft_takes(client, monkeypatch):
    monkeypatch.setattr(mesh_form, "models_document", models(completion="no weights are here"))
    text = "Without a GPU a draft with p3sam took 45 s on a machine with 2 cores"
    assert text in form_of(client)
    monkeypatch.setattr(draft_time, "network_part_times_s", lambda *_: [50.0, 40.4, 44.0])
    form = form_of(client)
    assert "A draft with p3sam took 44 s here (40 to 50 s, last 3 jobs)." in form
    assert text not in form
    monkeypatch.setattr(mesh_form, "models_document", models(segmentation="no weights are here"))
    assert "a draft with p3sam" not in form_of(client).lower()


def test_ways_that_give_other_parts_are_marked_lossy(client):
    form = form_of(client)
    assert '<option value="exact">exact: 50 Euler steps</option>' in form
    assert "second order: 13 midpoint steps, lossy" in form
    assert "fewer steps: 25 Euler steps, lossy" in form


def test_while_nobody_has_looked_everything_can_be_chosen(client):
    form = form_of(client)
    assert " disabled>" not in form
    assert "not available" not in form
    assert "a draft with p3sam" not in form.lower()


@pytest.mark.usefixtures("without_child")
def test_a_form_without_javascript_sends_what_its_pipeline_takes(post, service):
    """It holds the fields of closed parts too."""
    fields = {
        "engine": "p3sam", "preset": "draft", "points": "3000", "prompts": "", "threshold": "0.9",
        "post_process": ["false", "true"], "completion": "cap_parts", "part_steps": "20",
        "part_solver": "", "part_cells": "",
    }  # fmt: skip

    def send_as(pipeline):
        file = {"file": (io.BytesIO(surface_glb(*row_of_boxes(2))), "row.glb")}
        answer = post("/submit-mesh", pipeline=pipeline, part_count="", **fields, **file)
        assert answer.status_code == 303, answer.text
        return service.store.list().items[0].params

    open_parts = send_as("segment_parts")
    assert (open_parts["engine"], open_parts["points"]) == ("p3sam", 3000)
    assert open_parts["post_process"] is True
    assert not set(open_parts) & set(CompletionParams.model_fields)
    closed = send_as("complete_parts")
    assert (closed["completion"], closed["part_steps"], closed["part_solver"]) == (
        "cap_parts", 20, None,
    )  # fmt: skip


def test_boxes_are_taken_beside_the_mesh_where_parts_are_closed(post, service):
    boxes = json.dumps([[[0, 0, 0], [1, 1, 1]]]).encode()
    files = {
        "file": (io.BytesIO(surface_glb(*row_of_boxes(2))), "row.glb"),
        "boxes": (io.BytesIO(boxes), "boxes.json"),
    }
    answer = post("/submit-mesh", pipeline="segment_parts", part_count="", **files)
    assert answer.status_code == 422
    assert list(service.store.list().items) == []
