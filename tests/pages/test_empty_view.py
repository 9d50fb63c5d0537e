from __future__ import annotations

import re

import pytest

from tests.jobs.parts.made_tree import row_of_boxes, surface_glb


def view(client, job) -> tuple[str, str]:
    text = client.get(f"/jobs/{job.id}").text
    found = re.search(r'<p id="viewer-text" data-failed="([^"]+)">([^<]+)</p>', text)
    assert found, text
    return found[2], found[1]


MODEL = "The model appears here as soon as its shape is built"
MESH = "The mesh appears here as soon as it has been read"


@pytest.mark.parametrize(
    ("pipeline", "words", "failed"),
    [
        ("image_to_3d", f"{MODEL}.", "No model was made."),
        ("image_to_parts", f"{MODEL}, then its parts.", "No model was made."),
        ("segment_parts", f"{MESH}, then its parts.", "The mesh was not read."),
        ("complete_parts", f"{MESH}, then its parts.", "The mesh was not read."),
    ],
)
def test_it_says_what_will_be_there(client, service, claim, figure_png, pipeline, words, failed):
    mesh = {"mesh.glb": surface_glb(*row_of_boxes(2))}
    files = {"image.png": figure_png} if pipeline.startswith("image") else mesh
    job, _, _ = service.submit(service.prepare(pipeline, {}, "a"), files)
    assert view(client, job) == (words, failed)
    service.store.request_cancel(job.id)
    assert view(client, job) == (failed, failed)
