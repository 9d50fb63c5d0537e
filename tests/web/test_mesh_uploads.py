"""A mesh on its way from a request to the input of a job."""

from __future__ import annotations

import base64
import io
import tempfile

import numpy as np
import pytest
from sqlalchemy import select

from backend.child_limits import no_files_opened
from backend.errors import MeshCorrupt, MeshTooLarge, QueueFull
from backend.jobs.mesh_size import sized_cost_key
from backend.jobs.schema import JobRow
from backend.meshes.reading.read_mesh import read_mesh
from backend.settings import Settings
from backend.web import judging_child, mesh_child
from backend.web.mesh_child import read_in_child
from tests.meshes.reading.files import (
    CUBE,
    cube_file,
    obj_of_cube,
    picture,
    stl_of_cube,
    textured_file,
)
from tests.web.meshes import post_form, without_child  # noqa: F401

URL = "/api/v1/jobs"


def post(server, data: bytes, filename: str = "cube.glb", headers=None, **fields):
    form = {"pipeline": "segment_parts", "file": (io.BytesIO(data), filename), **fields}
    return post_form(server, form, headers)


def kept_mesh(server, job: dict):
    return read_mesh(server.service.artefacts.input_path(job["id"], "mesh.glb"))


def read(data: bytes, **values: object):
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target:
        source.write(data)
        source.flush()
        facts = read_in_child(source, target, Settings(**values))
        target.seek(0)
        return facts, target.read()


def test_a_child_reads_checks_and_writes_anew(server):
    answer = post(server, obj_of_cube(), "Würfel.obj", name="")
    assert answer.status_code == 202, answer.text
    assert answer.json["name"] == "Würfel.obj"
    mesh = kept_mesh(server, answer.json)
    np.testing.assert_array_equal(mesh.vertices[mesh.faces], CUBE.vertices[CUBE.faces])


@pytest.mark.usefixtures("without_child")
def test_json_takes_a_data_uri(server):
    uri = "data:model/stl;base64," + base64.b64encode(stl_of_cube()).decode()
    answer = server.client.post(URL, json={"pipeline": "segment_parts", "mesh": uri})
    assert answer.status_code == 202, answer.text
    assert answer.json["name"] == "mesh"
    assert len(kept_mesh(server, answer.json).faces) == 12


@pytest.mark.usefixtures("without_child")
def test_a_mesh_may_be_larger_than_a_picture(make_server, small_png):
    server = make_server(max_upload_mb=1, max_mesh_mb=4)
    padding = b"# " + b"x" * (2 << 20) + b"\n"
    assert post(server, padding + obj_of_cube(), "cube.obj").status_code == 202
    for field in ("file", "mask"):
        files = {"file": (io.BytesIO(small_png), "a.png")} | {
            field: (io.BytesIO(bytes(2 << 20)), "b.png")
        }
        answer = post_form(server, {"pipeline": "image_to_3d", **files})
        assert (answer.status_code, answer.json["code"]) == (413, "upload-too-large"), field
    assert server.post(small_png).status_code == 202


def test_no_mesh_may_be_larger_than_its_limit(make_server):
    server = make_server(max_upload_mb=1, max_mesh_mb=2)
    answer = post(server, b"# " + b"x" * (3 << 20) + b"\n" + obj_of_cube())
    assert (answer.status_code, answer.json["code"]) == (413, "upload-too-large")
    assert "2 are taken" in answer.json["detail"]
    answer = post(server, bytes(8 << 20))
    assert (answer.status_code, answer.json["code"]) == (413, "upload-too-large")
    assert server.count() == 0


MISSING = {
    "nothing": {"pipeline": "segment_parts"},
    "a form without a choice": {"pipeline": "segment_parts", "file": (io.BytesIO(b""), "")},
}


@pytest.mark.parametrize("name", MISSING)
def test_a_mesh_has_to_be_sent(server, name):
    answer = server.client.post(URL, data=MISSING[name], content_type="multipart/form-data")
    assert (answer.status_code, answer.json["code"]) == (400, "missing-file")
    assert "mesh" in answer.json["advice"]


def test_an_empty_file_is_named(server):
    answer = post(server, b"")
    assert (answer.status_code, answer.json["code"]) == (422, "empty-file")


NOT_EXPECTED = {
    "/mask": {"mask": (io.BytesIO(b"x"), "m.png")},
    "/other": {"other": (io.BytesIO(b"x"), "m.png")},
}


@pytest.mark.parametrize("pointer", NOT_EXPECTED)
def test_what_belongs_to_pictures_is_refused(server, pointer):
    answer = post(server, obj_of_cube(), **NOT_EXPECTED[pointer])
    assert (answer.status_code, answer.json["code"]) == (422, "invalid-parameter")
    assert answer.json["errors"][0]["pointer"] == pointer


def test_json_refuses_what_belongs_to_the_other_kind(server):
    uri = "data:model/stl;base64," + base64.b64encode(stl_of_cube()).decode()
    for body, pointer in (
        ({"pipeline": "segment_parts", "image": uri}, "/image"),
        ({"pipeline": "segment_parts", "image_url": "http://example.com/a.glb"}, "/image_url"),
        ({"pipeline": "image_to_3d", "mesh": uri}, "/mesh"),
        ({"pipeline": "segment_parts", "mesh": "cube"}, "/mesh"),
        ({"pipeline": "segment_parts", "mesh": "data:model/stl,abc"}, "/mesh"),
        ({"pipeline": "segment_parts", "mesh": uri, "part_count": "many"}, "/params/part_count"),
    ):
        answer = server.client.post(URL, json=body)
        assert (answer.status_code, answer.json["code"]) == (422, "invalid-parameter"), body
        assert answer.json["errors"][0]["pointer"] == pointer


@pytest.mark.usefixtures("without_child")
def test_a_key_makes_one_job_and_reads_once(server, monkeypatch):
    headers = {"Idempotency-Key": "k1"}
    first = post(server, cube_file().glb(), headers=headers)
    with monkeypatch.context() as patch:
        patch.setattr(mesh_child, "_run", lambda *_: pytest.fail("it was read again"))
        again = post(server, cube_file().glb(), headers=headers)
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json["id"] == again.json["id"]
    other = post(server, obj_of_cube(), headers=headers)
    assert (other.status_code, other.json["code"]) == (422, "idempotency-key-reused")


def test_memory_of_the_child_is_limited():
    text = obj_of_cube() + b"v 0.1 0.1 0.1\n" * 3_000_000
    with pytest.raises(MeshTooLarge, match="memory"):
        read(text, mesh_memory_mb=600)


def test_the_child_reads_all_formats_of_textures_without_opening_a_file():
    for kind in ("PNG", "JPEG", "WEBP"):
        facts, written = read(textured_file(picture(kind)).glb())
        assert (facts["textures"], facts["has_uvs"]) == (1, True)
        assert written.startswith(b"glTF")


def test_no_file_is_opened_while_a_mesh_is_read(tmp_path):
    (tmp_path / "a.mtl").write_text("newmtl a")
    with pytest.raises(OSError, match="Too many open files"), no_files_opened():
        (tmp_path / "a.mtl").read_bytes()
    assert (tmp_path / "a.mtl").read_bytes()


def test_time_of_the_child_is_limited():
    text = obj_of_cube() + b"g part\n" * 10_000_000
    with pytest.raises(MeshTooLarge, match="more than 1 seconds"):
        read(text, mesh_time_s=1.0)


@pytest.mark.parametrize(("signal", "expected"), [(11, MeshCorrupt), (9, MeshTooLarge)])
def test_a_child_that_dies_is_told_of(monkeypatch, signal, expected):
    monkeypatch.setattr(mesh_child, "_run", lambda *_: (b"", -signal, b""))
    with pytest.raises(expected):
        read(obj_of_cube())


def test_an_answer_that_is_none_is_damage(monkeypatch):
    for answer in ((b"{", 0, b""), (b"", 1, b"Traceback"), (b"[]", 0, b""), (b"{}", 1, b"")):
        monkeypatch.setattr(mesh_child, "_run", lambda *_, found=answer: found)
        with pytest.raises(MeshCorrupt):
            read(obj_of_cube())
    monkeypatch.setattr(mesh_child, "_run", lambda *_: (b"", 1, b"MemoryError"))
    with pytest.raises(MeshTooLarge):
        read(obj_of_cube())


def test_the_child_knows_none_of_our_variables(monkeypatch):
    monkeypatch.setenv("MESHKILN_DATABASE_URL", "postgresql://user:secret@db/x")
    assert "secret" not in str(judging_child._environment())


def test_only_a_few_meshes_are_read_at_a_time(monkeypatch):
    class Full:
        def acquire(self, timeout: float) -> bool:
            return timeout < 0

    monkeypatch.setattr(mesh_child, "_room", Full())
    with pytest.raises(QueueFull) as caught:
        read(obj_of_cube())
    assert caught.value.retry_after_s


@pytest.mark.usefixtures("without_child")
def test_nothing_is_left_behind(server):
    post(server, obj_of_cube())
    post(server, b"hello")
    assert list((server.service.settings.data_dir / "incoming").iterdir()) == []


@pytest.mark.usefixtures("without_child")
def test_times_of_small_meshes_do_not_promise_those_of_large_ones(server):
    def cost_key_of(job_id: str) -> str:
        engine = server.service.store.engine
        with engine.connect() as connection:
            return connection.scalar(select(JobRow.cost_key).where(JobRow.id == job_id))

    small = post(server, obj_of_cube()).json["id"]
    assert cost_key_of(small) == "segment_parts:standard:auto:up to 1k faces"
    assert sized_cost_key("segment_parts", 1025) == "segment_parts:up to 4k faces"
    assert sized_cost_key("segment_parts", 1_000_000) == "segment_parts:up to 1024k faces"
    server.service.store.request_cancel(small)
    assert cost_key_of(server.service.retry(small).id) == cost_key_of(small)
