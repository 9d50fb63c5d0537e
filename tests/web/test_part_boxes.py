"""Boxes of parts, sent along with a mesh: judged before there is a job."""

from __future__ import annotations

import base64
import io
import json

import pytest

from backend.errors import InvalidParameter
from backend.web.part_boxes import normalised_boxes
from tests.meshes.reading.files import cube_file
from tests.web.conftest import serving
from tests.web.meshes import post_form, post_page, without_child  # noqa: F401

MESH = cube_file().glb()
BOUNDS = [[0.0, 0.0, 0.0], [4.0, 2.0, 1.0]]
LOW, HIGH = [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]


def refused(boxes):
    data = boxes if isinstance(boxes, bytes) else json.dumps(boxes).encode()
    with pytest.raises(InvalidParameter) as caught:
        normalised_boxes(data, BOUNDS)
    assert "boxes.json" in caught.value.advice
    return caught.value.detail, caught.value.fields[0].pointer


@pytest.mark.parametrize(
    ("boxes", "words", "pointer"),
    [
        (b"boxes", "not valid JSON", "/boxes"),
        (b"\xff\xfe", "not valid JSON", "/boxes"),
        (b"[" * 100_000, "not valid JSON", "/boxes"),
        (b" " * 1_000_001, "1,000,001 bytes", "/boxes"),
        ({"boxes": []}, "not a list", "/boxes"),
        ([], "There are 0 boxes", "/boxes"),
        ([[LOW, HIGH]] * 1001, "There are 1,001 boxes", "/boxes"),
        ([[LOW, HIGH], [LOW]], "Box 1 is no pair", "/boxes/1"),
        ([{"name": "part_00"}], "Box 0 is no pair", "/boxes/0"),
        ([[LOW, [1, 1]]], "does not have three", "/boxes/0"),
        ([[LOW, [1, 1, "1"]]], "not a finite number", "/boxes/0"),
        ([[LOW, [1, 1, True]]], "not a finite number", "/boxes/0"),
        (b"[[[0,0,0],[1,1,1e999]]]", "not a finite number", "/boxes/0"),
        (b"[[[0,0,0],[1,1,NaN]]]", "not a finite number", "/boxes/0"),
        ([[LOW, [1, 1, 10**400]]], "not a finite number", "/boxes/0"),
        ([[HIGH, LOW]], "not below", "/boxes/0"),
        ([[LOW, LOW]], "single point", "/boxes/0"),
        ([[[4.1, 0, 0], [5, 1, 1]]], "apart from the mesh", "/boxes/0"),
        ([[LOW, HIGH], [[0, -3, 0], [1, -2, 1]]], "Box 1 lies apart", "/boxes/1"),
    ],
)
def test_what_is_no_box_of_this_mesh_is_refused_by_its_place(boxes, words, pointer):
    detail, where = refused(boxes)
    assert words in detail
    assert where == pointer


def test_what_we_write_ourselves_is_taken_as_well_as_bare_pairs():
    ours = [{"index": 0, "name": "part_00", "box": [LOW, HIGH]}, {"box": [[3, 0, 0], [4, 2, 1]]}]
    kept = json.loads(normalised_boxes(json.dumps(ours).encode(), BOUNDS))
    assert kept == [[LOW, HIGH], [[3.0, 0.0, 0.0], [4.0, 2.0, 1.0]]]
    flat_and_touching = [[[4.0, 0, 0], [4.0, 2, 1]], [[4.0003, 0, 0], [9, 2, 1]]]
    assert len(json.loads(normalised_boxes(json.dumps(flat_and_touching).encode(), BOUNDS))) == 2


def by_form(server, boxes, pipeline="complete_parts"):
    fields = {"pipeline": pipeline, "file": (io.BytesIO(MESH), "cube.glb")}
    return post_form(server, fields | {"boxes": (io.BytesIO(json.dumps(boxes).encode()), "b.json")})


def by_json(server, boxes, pipeline="complete_parts"):
    mesh = "data:model/gltf-binary;base64," + base64.b64encode(MESH).decode()
    fields = {"pipeline": pipeline, "mesh": mesh, "boxes": boxes}
    return server.client.post("/api/v1/jobs", json=fields)


@pytest.mark.usefixtures("without_child")
def test_the_page_takes_them_too(tmp_path):
    data = json.dumps([{"box": [LOW, HIGH]}]).encode()
    fields = {"pipeline": "complete_parts", "part_count": "", "file": (io.BytesIO(MESH), "c.glb")}
    with serving(tmp_path) as server:
        answer = post_page(server, fields | {"boxes": (io.BytesIO(data), "boxes.json")})
        assert answer.status_code == 303
        job = server.service.store.list().items[0]
        kept = server.service.artefacts.input_path(job.id, "boxes.json").read_bytes()
        assert json.loads(kept) == [[LOW, HIGH]]


@pytest.mark.usefixtures("without_child")
@pytest.mark.parametrize("send", [by_form, by_json])
def test_they_are_kept_with_the_mesh_or_refused_before_there_is_a_job(tmp_path, send):
    with serving(tmp_path) as server:
        answer = send(server, [[[7, 7, 7], [8, 8, 8]]])
        assert (answer.status_code, answer.json["code"]) == (422, "invalid-parameter")
        assert answer.json["errors"][0]["pointer"] == "/boxes/0"
        wrong = send(server, [[LOW, HIGH]], "segment_parts")
        assert (wrong.status_code, wrong.json["errors"][0]["pointer"]) == (422, "/boxes")
        assert "where parts are closed" in wrong.json["detail"]
        assert server.count() == 0
        assert send(server, [[LOW, HIGH]]).status_code == 202
        job = server.service.store.list().items[0]
        kept = server.service.artefacts.input_path(job.id, "boxes.json").read_bytes()
        assert json.loads(kept) == [[LOW, HIGH]]
