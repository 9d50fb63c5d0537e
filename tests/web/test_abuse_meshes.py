"""Rows 14 to 23 and 44 of the abuse table: meshes that strangers send."""

from __future__ import annotations

import base64
import html
import io
import json
import os
import pickle
import re
import struct

import numpy as np
import pytest

from tests.meshes.reading.files import (
    CUBE,
    GltfFile,
    cube_file,
    glb,
    obj_of_cube,
    picture,
    ply_of_cube,
    png_header,
    textured_file,
)
from tests.web.conftest import serving
from tests.web.meshes import post_form, post_page, without_child  # noqa: F401
from tests.web.test_archive_intake import packed

PIPELINES = ("segment_parts", "complete_parts")
CORRUPT, INVALID, LARGE = "mesh-corrupt", "mesh-invalid", "mesh-too-large"
ELSEWHERE, EXTENSION, NO_MESH = "external-resource", "unsupported-extension", "unsupported-mesh"


def bent(**changes: object) -> bytes:
    """A cube of which one item of the JSON is another, such as ``accessors``."""
    file = cube_file()
    for kind, change in changes.items():
        place = file.document[kind]
        place[0].update(change) if isinstance(change, dict) else place.__setitem__(0, change)
    return file.glb()


def with_more(**more: object) -> bytes:
    file = cube_file()
    file.document.update(more)
    return file.glb()


def nodes(*children: list[int]) -> bytes:
    return with_more(nodes=[{"mesh": 0, "children": below} for below in children])


def ply(order: str) -> bytes:
    text = ply_of_cube(order)
    return text.replace(b"element vertex 8", b"element vertex 2000000000")


def loose_triangles(count: int) -> bytes:
    corners = np.tile(np.eye(3, dtype="<f4"), (count, 1))
    corners[:, 0] += np.repeat(np.arange(count), 3) * 3
    file = GltfFile()
    file.node(mesh=file.surface(corners))
    return file.glb()


def checkpoint() -> bytes:
    class Harmful:
        def __reduce__(self):
            return (pytest.fail, ("it was opened",))

    return pickle.dumps({"model": Harmful()})


ROWS = {
    "row 14 accessor of 2e9": (bent(accessors={"count": 2_000_000_000}), CORRUPT),
    "row 14 view past its buffer": (bent(bufferViews={"byteLength": 1 << 30}), CORRUPT),
    "row 14 buffer past the file": (bent(buffers={"byteLength": 1 << 30}), CORRUPT),
    "row 14 cut off": (cube_file().glb()[:-50], CORRUPT),
    "row 15 relative": (bent(buffers={"uri": "../../etc/passwd"}), ELSEWHERE),
    "row 15 absolute": (bent(buffers={"uri": "/etc/passwd"}), ELSEWHERE),
    "row 15 http": (with_more(images=[{"uri": "http://127.0.0.1/x"}]), ELSEWHERE),
    "row 15 file": (
        json.dumps({"asset": {"version": "2.0"}, "buffers": [{"uri": "file:///etc/passwd"}]})
        .encode(), ELSEWHERE),
    "row 18 binary ply of 2e9": (ply("<"), CORRUPT),
    "row 18 big-endian ply of 2e9": (ply(">"), CORRUPT),
    "row 18 ascii ply of 2e9": (ply(""), CORRUPT),
    "row 19 stl of 1e9": (bytes(80) + struct.pack("<I", 1_000_000_000) + bytes(100), CORRUPT),
    "row 20 faces": (loose_triangles(1001), LARGE),
    "row 20 texture of 400 megapixels": (textured_file(png_header(20_000)).glb(), LARGE),
    "row 20 texture with a long side": (textured_file(png_header(20_000, 1)).glb(), LARGE),
    "row 21 not a number": (b"v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", INVALID),
    "row 21 infinite": (b"v inf 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", INVALID),
    "row 21 1e308": (b"v 1e308 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", INVALID),
    "row 21 no area": (b"v 0 0 0\nv 1 1 1\nv 2 2 2\nf 1 2 3\n", INVALID),
    "row 21 no faces": (b"v 0 0 0\nv 1 1 1\nv 2 2 2\n", INVALID),
    "row 21 out of range": (b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", INVALID),
    "row 22 cycle": (nodes([1], [0]), CORRUPT),
    "row 22 itself": (nodes([0]), CORRUPT),
    "row 22 10,000 deep": (nodes(*[[at + 1] for at in range(9_999)], []), CORRUPT),
    "row 22 deep json": (glb(b'{"asset": {"version": "2.0"}, "x": ' + b"[" * 99_999), CORRUPT),
    "row 23 draco": (with_more(extensionsRequired=["KHR_draco_mesh_compression"]), EXTENSION),
    "row 23 meshopt": (with_more(extensionsRequired=["EXT_meshopt_compression"]), EXTENSION),
    "row 23 ktx2": (with_more(extensionsRequired=["KHR_texture_basisu"]), EXTENSION),
    "row 23 ktx2 unannounced": (textured_file(b"\xabKTX 20\xbb\r\n\x1a\n").glb(), EXTENSION),
    "row 44 pickle": (checkpoint(), NO_MESH),
    "row 44 zip checkpoint": (b"PK\x03\x04" + bytes(100), NO_MESH),
    "row 44 safetensors": (struct.pack("<Q", 2) + b"{}" + bytes(80), NO_MESH),
    "a picture": (picture(), NO_MESH),
}  # fmt: skip


def post(server, data: bytes, filename: str = "model.glb", **fields):
    form = {"pipeline": "segment_parts", "file": (io.BytesIO(data), filename), **fields}
    return post_form(server, form)


def page(server, data: bytes, filename: str):
    file = (io.BytesIO(data), filename)
    return post_page(server, {"pipeline": "segment_parts", "part_count": "", "file": file})


def as_uri(data: bytes, kind: str = "model/gltf-binary") -> str:
    return f"data:{kind};base64," + base64.b64encode(data).decode()


def nothing_is_stored(server) -> bool:
    left = list((server.service.settings.data_dir / "incoming").glob("*"))
    return server.count() == 0 and not left and not list(server.service.artefacts.job_ids())


@pytest.fixture(scope="module")
def strict_server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("strict"), max_mesh_faces=1000) as made:
        yield made


@pytest.mark.usefixtures("without_child")
@pytest.mark.parametrize("row", ROWS)
def test_refused(strict_server, row):
    server = strict_server
    data, code = ROWS[row]
    form = post(server, data, "model.png")  # the name is not asked
    body = {"pipeline": "complete_parts", "mesh": as_uri(data)}
    for answer in (form, server.client.post("/api/v1/jobs", json=body)):
        status = 415 if code == NO_MESH else 422
        assert (answer.status_code, answer.json["code"]) == (status, code), answer.text
        assert answer.json["advice"]
        assert answer.json["detail"]
    assert nothing_is_stored(server)


def refused_by_the_page(server, data: bytes, status: int, code: str) -> str:
    """Send it by the form of the page; returns the text of the page that refuses it."""
    answer = page(server, data, "<b>model</b>.png")
    assert (answer.status_code, answer.mimetype) == (status, "text/html"), answer.text
    shown = html.unescape(re.sub(r"<[^>]+>", " ", answer.text))
    assert f"{status} · {code}" in shown
    assert "What to do:" in shown
    assert "Traceback" not in shown
    assert "<b>model" not in answer.text
    return shown


@pytest.mark.usefixtures("without_child")
@pytest.mark.parametrize("row", ROWS)
def test_refused_by_the_form_of_the_page(strict_server, row):
    data, code = ROWS[row]
    refused_by_the_page(strict_server, data, 415 if code == NO_MESH else 422, code)
    assert nothing_is_stored(strict_server)


@pytest.mark.usefixtures("without_child")
def test_row_20_more_pieces_than_are_taken(server):
    data = loose_triangles(50_001)
    answer = post(server, data)
    assert (answer.status_code, answer.json["code"]) == (422, LARGE)
    assert "50,001 separate pieces; at most 50,000" in answer.json["detail"]
    assert "50,001 separate pieces" in refused_by_the_page(server, data, 422, LARGE)


def test_row_16_a_data_uri_over_the_limit(make_server):
    server = make_server(max_upload_mb=1, max_mesh_mb=2)
    body = {"pipeline": "segment_parts", "mesh": as_uri(bytes(1 << 20))}
    answer = server.client.post("/api/v1/jobs", json=body)
    assert (answer.status_code, answer.json["code"]) == (413, "upload-too-large")
    document = {"asset": {"version": "2.0"}, "buffers": [{"uri": as_uri(bytes(3 << 19))}]}
    data = json.dumps(document).encode() + b" " * (1 << 19)
    answer = post(server, data, "a.gltf")
    assert (answer.status_code, answer.json["code"]) == (413, "upload-too-large")
    refused_by_the_page(server, data, 413, "upload-too-large")
    assert nothing_is_stored(server)


def test_row_17_nothing_beside_an_obj_is_opened(server, tmp_path):
    """The library is a pipe: whoever opened it would wait for ever."""
    pipe = tmp_path / "secret.mtl"
    os.mkfifo(pipe)
    lines = f"mtllib {pipe}\nmtllib ../../etc/passwd\nusemtl secret\n".encode()
    job = post(server, lines + obj_of_cube(), "cube.obj")
    assert job.status_code == 202, job.text
    assert page(server, lines + obj_of_cube(), "cube.obj").status_code == 303


ARCHIVES = {
    "a name that leads out": packed(("../../evil.glb", cube_file().glb())),
    "an absolute name": packed(("/etc/evil.glb", cube_file().glb())),
    "a bomb": packed(("mesh.glb", bytes(5_000_000))),
    "an archive in it": packed(("in.zip", packed(("mesh.glb", b"x")))),
}


@pytest.mark.usefixtures("without_child")
@pytest.mark.parametrize("name", ARCHIVES)
def test_row_24_an_archive_is_no_mesh_and_no_batch_of_meshes(server, name):
    data = ARCHIVES[name]
    answer = post(server, data)
    assert (answer.status_code, answer.json["code"]) == (415, NO_MESH)
    assert "zip archive" in answer.json["detail"]
    assert "zip archive" in refused_by_the_page(server, data, 415, NO_MESH)
    batch = post_page(server, {"archive": (io.BytesIO(data), "a.zip"), "name": ""}, "/batches")
    assert batch.status_code == 422, batch.text
    assert "What to do:" in batch.text
    assert nothing_is_stored(server)


@pytest.mark.parametrize("row", ["row 22 10,000 deep", "row 44 pickle"])
def test_the_child_itself_answers(server, row):
    data, code = ROWS[row]
    assert post(server, data).json["code"] == code
    assert nothing_is_stored(server)


@pytest.mark.parametrize("row", ["row 14 accessor of 2e9", "row 22 cycle", "row 44 pickle"])
def test_a_mesh_is_no_picture(server, row):
    data = ROWS[row][0]
    form = server.post(data, filename="model.png")
    body = {"pipeline": "image_to_3d", "image": as_uri(data, "image/png")}
    for answer in (form, server.client.post("/api/v1/jobs", json=body)):
        assert (answer.status_code, answer.json["code"]) == (415, "unsupported-image")
    assert nothing_is_stored(server)


@pytest.mark.parametrize("pipeline", [*PIPELINES, "prepare_mesh"])
def test_a_batch_is_of_pictures(server, pipeline):
    item = {"custom_id": "a", "image": as_uri(cube_file().glb())}
    form = {"pipeline": pipeline, "items": json.dumps(item)}
    answer = server.client.post("/api/v1/batches", data=form)
    assert (answer.status_code, answer.json["code"]) == (422, "invalid-parameter")
    assert answer.json["errors"][0]["pointer"] == "/pipeline"
    assert nothing_is_stored(server)


@pytest.mark.usefixtures("without_child")
def test_what_is_kept_is_what_we_wrote(server):
    hostile = cube_file()
    hostile.document["extras"] = {"note": "<script>alert(1)</script>"}
    hostile.document["asset"]["copyright"] = "../../x"
    job = post(server, hostile.glb(), "../../<img onerror=x>.glb").json
    path = server.service.artefacts.input_path(job["id"], "mesh.glb")
    kept = path.read_bytes()
    assert b"script" not in kept
    assert b"../" not in kept
    assert len(kept) > CUBE.faces.size * 2
    assert "/" not in job["name"]
