"""Part numbers of faces, sent along with a mesh: judged before there is a job."""

from __future__ import annotations

import base64
import html
import io

import numpy as np
import pytest

from tests.meshes.reading.files import cube_file
from tests.web.conftest import Server, serving
from tests.web.meshes import post_form, post_page, without_child  # noqa: F401

FACES = 12
MESH = cube_file().glb()


def npy(values: object, **options: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(values, **options), allow_pickle=True)
    return buffer.getvalue()


class Harmful:
    def __reduce__(self):
        return (pytest.fail, ("it was opened",))


WRONG = {
    "text": (b"0 0 1 1", "not a NumPy file"),
    "nothing": (b"", "not a NumPy file"),
    "a pickle": (b"\x80\x04\x95", "not a NumPy file"),
    "an archive": (b"PK\x03\x04", "not a NumPy file"),
    "pickled objects": (npy([Harmful()] * FACES, dtype=object), "type '|O'"),
    "of a smaller mesh": (npy(np.arange(FACES - 1)), "shape (11,); the mesh has 12 faces"),
    "of a larger mesh": (npy(np.arange(5000)), "shape (5000,); the mesh has 12 faces"),
    "two columns": (npy(np.zeros((FACES, 2), dtype=int)), "shape (12, 2)"),
    "fractions": (npy(np.zeros(FACES)), "type '<f8', not whole numbers"),
    "beyond int32": (npy([1 << 40] * FACES), "does not fit into int32"),
    "beyond int64": (npy([(1 << 64) - 1] * FACES, dtype=np.uint64), "does not fit into int32"),
    "below int32": (npy([-(1 << 40)] * FACES), "does not fit into int32"),
    "cut off": (npy(np.arange(FACES))[:-1], "end before the last face"),
    "something behind": (npy(np.arange(FACES)) + b"x", "goes on after"),
}


def by_form(server: Server, data: bytes):
    fields = {"pipeline": "complete_parts", "file": (io.BytesIO(MESH), "cube.glb")}
    return post_form(server, fields | {"face_ids": (io.BytesIO(data), "ids.npy")})


def by_json(server: Server, data: bytes):
    uris = {
        name: f"data:{kind};base64," + base64.b64encode(content).decode()
        for name, kind, content in (
            ("mesh", "model/gltf-binary", MESH),
            ("face_ids", "application/octet-stream", data),
        )
    }
    return server.client.post("/api/v1/jobs", json={"pipeline": "complete_parts"} | uris)


def by_page(server: Server, data: bytes, pipeline: str = "complete_parts"):
    fields = {"pipeline": pipeline, "part_count": "", "file": (io.BytesIO(MESH), "cube.glb")}
    return post_page(server, fields | {"face_ids": (io.BytesIO(data), "ids.npy")})


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("part_numbers")) as made:
        yield made


@pytest.mark.usefixtures("without_child")
@pytest.mark.parametrize("case", WRONG)
def test_those_of_another_mesh_or_of_none_are_refused(server, case):
    data, words = WRONG[case]
    for answer in (by_form(server, data), by_json(server, data)):
        assert (answer.status_code, answer.json["code"]) == (422, "invalid-parameter"), answer.text
        assert words in answer.json["detail"]
        assert "face_ids.npy that was made from this very mesh" in answer.json["advice"]
        assert answer.json["errors"][0]["pointer"] == "/face_ids"
    page = by_page(server, data)
    assert page.status_code == 422
    shown = html.unescape(page.text)
    assert words in shown
    assert "face_ids.npy that was made from this very mesh" in shown
    assert server.count() == 0
    assert list((server.service.settings.data_dir / "incoming").iterdir()) == []


@pytest.mark.usefixtures("without_child")
@pytest.mark.parametrize("dtype", ["<i4", "|u1", ">i8"])
@pytest.mark.parametrize("send", [by_form, by_json, by_page])
def test_those_that_fit_are_kept_as_they_are(tmp_path, send, dtype):
    data = npy(np.arange(FACES), dtype=dtype)
    with serving(tmp_path) as server:
        assert send(server, data).status_code in (202, 303)
        job = server.service.store.list().items[0]
        assert server.service.artefacts.input_path(job.id, "face_ids.npy").read_bytes() == data


def test_the_child_itself_judges_them(server):
    answer = by_form(server, WRONG["of a smaller mesh"][0])
    assert (answer.status_code, answer.json["code"]) == (422, "invalid-parameter")
    words = WRONG["of a smaller mesh"][1]
    assert answer.json["detail"] == f"The part numbers have the {words}."


@pytest.mark.usefixtures("without_child")
def test_they_are_for_closed_parts_only(server):
    form = {"pipeline": "segment_parts", "file": (io.BytesIO(MESH), "cube.glb")}
    answer = post_form(server, form | {"face_ids": (io.BytesIO(npy(np.arange(FACES))), "i.npy")})
    assert (answer.status_code, answer.json["code"]) == (422, "invalid-parameter")
    assert answer.json["errors"][0]["pointer"] == "/face_ids"
    page = by_page(server, npy(np.arange(FACES)), "segment_parts")
    assert page.status_code == 422
    assert "Choose closed parts" in page.text
    assert server.count() == 0
