from __future__ import annotations

import re

import pytest

from tests.jobs.parts.made_tree import row_of_boxes, surface_glb
from tests.web.conftest import MadeFile


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
        ("segment_parts", f"{MESH}, then its parts.", "Nothing was made of the mesh."),
        ("complete_parts", f"{MESH}, then its parts.", "Nothing was made of the mesh."),
    ],
)
def test_it_says_what_will_be_there(client, service, claim, figure_png, pipeline, words, failed):
    mesh = {"mesh.glb": surface_glb(*row_of_boxes(2))}
    files = {"image.png": figure_png} if pipeline.startswith("image") else mesh
    job, _, _ = service.submit(service.prepare(pipeline, {}, "a"), files)
    assert view(client, job) == (words, failed)
    service.store.request_cancel(job.id)
    assert view(client, job) == (failed, failed)


def test_a_finished_model_is_said_to_be_loading_unless_there_is_no_javascript(
    client, service, claim, figure_png
):
    job, _, _ = service.submit(service.prepare("image_to_3d", {}, "a"), {"image.png": figure_png})
    claimed = claim()
    folder = service.artefacts.work_dir(claimed.id, claimed.attempt)
    (folder / "model.glb").write_bytes(b"glTF")
    made = MadeFile("model.glb", "glb", "model", folder / "model.glb")
    outputs = service.artefacts.publish(claimed.id, claimed.attempt, [made])
    assert service.claims.finish(claimed, outputs, {})
    text = client.get(f"/jobs/{job.id}").text
    assert '<p class="no-js-only">Turn on JavaScript to turn the model around.</p>' in text
    assert re.search(r'<p id="viewer-text"[^>]* class="js-only">Loading the model…</p>', text)
