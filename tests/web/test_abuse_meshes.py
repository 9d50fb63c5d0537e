"""Rows 14 to 23 of the abuse table: no pipeline takes meshes yet, so each is no picture."""

from __future__ import annotations

import base64
import json
import struct

import pytest


def glb(document: object, body: bytes = b"") -> bytes:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    if body:
        chunks += struct.pack("<I4s", len(body), b"BIN\0") + body
    return b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks


ASSET = {"asset": {"version": "2.0"}}
TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"
DEEP = {"nodes": [{"children": [node + 1]} for node in range(10_000)]}
MESHES = {
    "row 14 accessor of 2e9": glb({**ASSET, "accessors": [{"count": 2_000_000_000}]}),
    "row 14 past the end": glb({**ASSET, "bufferViews": [{"byteLength": 1 << 30}]}, bytes(16)),
    "row 15 external uri": glb({**ASSET, "buffers": [{"uri": "../../etc/passwd"}]}),
    "row 15 http uri": json.dumps({**ASSET, "images": [{"uri": "http://127.0.0.1/x"}]}).encode(),
    "row 17 mtllib": b"mtllib ../../etc/passwd\n" + TRIANGLE.encode(),
    "row 18 ply of 2e9": b"ply\nformat ascii 1.0\nelement vertex 2000000000\nend_header\n",
    "row 18 binary ply": b"ply\nformat binary_little_endian 1.0\nelement vertex 2000000000\n",
    "row 19 stl of 1e9": bytes(80) + struct.pack("<I", 1_000_000_000),
    "row 20 many faces": TRIANGLE.encode() + b"f 1 2 3\n" * 20_000,
    "row 21 not a number": b"v nan inf 1e308\nv 0 0 0\nv 0 0 0\nf 1 2 9\n",
    "row 22 cycle": glb({**ASSET, "nodes": [{"children": [1]}, {"children": [0]}]}),
    "row 22 deep": glb({**ASSET, **DEEP}),
    "row 23 draco": glb({**ASSET, "extensionsRequired": ["KHR_draco_mesh_compression"]}),
    "row 44 pickled checkpoint": b"\x80\x02}q\x00X\x05\x00\x00\x00modelq\x01cposix\nsystem\n",
    "row 44 safetensors": struct.pack("<Q", 2) + b"{}",
}  # fmt: skip


def as_uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def nothing_is_stored(server) -> bool:
    return server.count() == 0 and not list(server.service.artefacts.job_ids())


@pytest.mark.parametrize("row", MESHES)
def test_a_mesh_is_no_picture(server, row):
    form = server.post(MESHES[row], filename="model.png")
    body = {"pipeline": "image_to_3d", "image": as_uri(MESHES[row])}
    for answer in (form, server.client.post("/api/v1/jobs", json=body)):
        assert (answer.status_code, answer.json["code"]) == (415, "unsupported-image")
    assert nothing_is_stored(server)


@pytest.mark.parametrize("row", MESHES)
def test_nor_in_a_batch(server, row):
    item = {"custom_id": "a", "image": as_uri(MESHES[row])}
    form = {"pipeline": "image_to_3d", "items": json.dumps(item)}
    answer = server.client.post("/api/v1/batches", data=form)
    assert (answer.status_code, answer.json["code"]) == (422, "nothing-accepted")
    assert answer.json["errors"][0]["detail"] == "a: The content is not PNG, JPEG or WebP."
    assert nothing_is_stored(server)


@pytest.mark.parametrize("name", ["model.glb", "model.obj", "part.stl", "scan.ply", "net.ckpt"])
def test_whatever_the_name_says_it_is_the_bytes_that_count(server, small_png, name):
    assert server.post(small_png, filename=name).status_code == 202
    refused = server.post(MESHES["row 22 cycle"], filename=name)
    assert (refused.status_code, refused.json["code"]) == (415, "unsupported-image")


def test_no_pipeline_of_the_catalogue_takes_a_mesh_yet(server):
    """When one does, rows 14 to 23 need tests of their own; see docs/abuse.md."""
    document = server.client.get("/openapi.json").json
    assert "texture_mesh" not in json.dumps(document)
