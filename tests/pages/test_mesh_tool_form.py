from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest

from backend.catalog import PipelineName, PrepareMeshParams
from backend.meshes.source_glb import write_source_mesh
from backend.pipelines.pipeline import PipelineRequest
from backend.pipelines.prepare_mesh import PrepareMeshPipeline
from backend.progress import SilentSink
from backend.web.pages.fragments import render_job_live
from backend.web.pages.mesh_tool_form import report_rows, tool_fields
from tests.meshes.globe import globe, without_faces
from tests.web.meshes import without_child  # noqa: F401


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A globe with a small and a wide hole, mended: its file, and the facts of its job."""
    folder = tmp_path_factory.mktemp("prepared")
    whole = globe()
    top = whole.vertices[whole.faces].mean(axis=1)[:, 1] > 0.8
    torn = without_faces(whole, 1100, *np.flatnonzero(top).tolist())
    write_source_mesh(torn, folder / "mesh.glb")
    (folder / "out").mkdir()
    inputs = {"mesh": folder / "mesh.glb"}
    request = PipelineRequest(inputs, PrepareMeshParams(), folder / "out")
    return inputs["mesh"], PrepareMeshPipeline().run(request, SilentSink()).facts


def test_every_parameter_has_a_field_with_a_label_of_its_own(client):
    fields = [field for group in tool_fields() for field in group.fields]
    assert {field.name for field in fields} == set(PrepareMeshParams.model_fields)
    page = client.get("/").text
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    for field in fields:
        assert f'<label for="tool-p-{field.name}">' in page


@pytest.mark.usefixtures("without_child")
def test_the_form_makes_a_job_without_javascript(post, client, service, prepared):
    answer = post(
        "/submit-mesh",
        pipeline="prepare_mesh",
        target_faces="",
        size_m="",
        format="stl",
        repair=["false", "true"],
        file=(io.BytesIO(prepared[0].read_bytes()), "globe.glb"),
    )
    assert answer.status_code == 303, answer.text
    job = service.store.list().items[0]
    assert job.pipeline == PipelineName.PREPARE_MESH
    assert (job.params["format"], job.params["repair"]) == ("stl", True)
    assert job.params["target_faces"] is None
    assert "Repair the mesh" in client.get(f"/jobs/{job.id}").text


def test_rows_show_before_and_after_in_words(prepared):
    report = prepared[1]["mesh_report"]
    rows = {row["label"]: row for row in report_rows(report)}
    assert rows["Open borders"]["before"] == "2 (51 edges)"
    assert rows["Open borders"]["is_fault"]
    assert rows["Volume"]["after"] == "none: not closed"
    assert rows["Textures"]["after"] == "16 × 16 px"
    assert rows["Size"]["after"] == "2 × 1.793 × 2 m"
    assert not rows["Faces twice"]["was_fault"]


def test_the_report_is_on_the_page_of_the_job(client, service, prepared, app_document):
    page = render_job_live(app_document(prepared[1]))
    assert "Holes that were filled" in page
    assert "What is left" in page
    assert "Open borders, of 48 edges in all: 1. They are wider" in page
    assert "not watertight" in page
    assert "Duplicate with changes" not in page


@pytest.fixture
def app_document(client, service):
    """Build the document of a finished job that has found something."""

    def make(facts):
        new = service.prepare("prepare_mesh", {}, "globe.glb")
        job = service.submit(new, {"mesh.glb": b""})[0]
        document = client.get(f"/api/v1/jobs/{job.id}").json
        return document | {"status": "succeeded", "facts": json.loads(json.dumps(facts))}

    with client.application.test_request_context("/"):
        yield make
