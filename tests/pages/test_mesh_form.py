from __future__ import annotations

import io

import pytest

from backend.catalog import PipelineName
from tests.jobs.parts.made_tree import row_of_boxes, surface_glb


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
