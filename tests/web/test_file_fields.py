"""The names under which a form sends its files, and what is said of others."""

from __future__ import annotations

import io

import pytest

from tests.meshes.reading.files import cube_file
from tests.web.meshes import post_form, without_child  # noqa: F401
from tests.web.recordings import wav_bytes

MESH = cube_file().glb()


def part(data: bytes, name: str) -> tuple[io.BytesIO, str]:
    return io.BytesIO(data), name


@pytest.mark.usefixtures("without_child")
def test_a_file_may_be_called_what_it_is(server, small_png):
    picture, mesh = part(small_png, "doll.png"), part(MESH, "cube.glb")
    for fields in (
        {"pipeline": "image_to_3d", "image": picture},
        {"pipeline": "segment_parts", "mesh": mesh},
        {"pipeline": "texture_mesh", "mesh": part(MESH, "c.glb"), "image": part(small_png, "d")},
    ):
        answer = post_form(server, fields)
        assert answer.status_code == 202, answer.json
    assert server.count() == 3


def test_a_file_is_not_sent_under_two_names(server, small_png):
    files = {"file": part(small_png, "a.png"), "image": part(small_png, "b.png")}
    answer = post_form(server, {"pipeline": "image_to_3d", **files})
    assert answer.status_code == 422
    assert answer.json["errors"] == [{"pointer": "/image", "detail": "is sent once"}]
    assert server.count() == 0


@pytest.mark.parametrize(
    ("pipeline", "sent", "advice"),
    [
        ("image_to_3d", "picture", "(or 'image'). This pipeline also takes: mask, left, back"),
        ("segment_parts", "image", "Send a mesh in the field 'file' (or 'mesh')."),
        ("texture_mesh", "picture", "(or 'mesh'). This pipeline also takes: image, mask, left,"),
        ("complete_parts", "mask", "(or 'mesh'). This pipeline also takes: face_ids, boxes."),
        ("speech", "mesh", "Send a recording in the field 'file' (or 'audio')."),
    ],
)
@pytest.mark.usefixtures("without_child")
def test_a_file_that_is_not_taken_is_answered_with_those_that_are(
    server, small_png, pipeline, sent, advice
):
    taken = wav_bytes() if pipeline == "speech" else MESH
    files = {"file": part(taken, "x"), sent: part(small_png, "y.png")}
    answer = post_form(server, {"pipeline": pipeline, **files})
    assert answer.status_code == 422
    assert answer.json["detail"] == f"{sent}: not expected here."
    assert advice in answer.json["advice"]
    assert answer.json["errors"][0]["pointer"] == f"/{sent}"
