"""Pictures from other sides: taken, kept, counted, and refused where nothing would use them."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import Image
from urllib3 import encode_multipart_formdata

from tests.conftest import draw_figure, png_bytes
from tests.web.conftest import Server

SMALL = png_bytes(draw_figure(64))


def uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def part(data: bytes, name: str = "side.png") -> tuple[io.BytesIO, str]:
    return io.BytesIO(data), name


def post_fields(server: Server, data: bytes, *names: str) -> Any:
    """Send the same file in several fields; the client's own encoder leaves files open."""
    fields: dict[str, Any] = {name: (f"{name}.png", data, "image/png") for name in names}
    body, content_type = encode_multipart_formdata({"pipeline": "image_to_3d"} | fields)
    return server.client.post("/api/v1/jobs", data=body, content_type=content_type)


def inputs_of(server: Server, job: dict[str, Any]) -> list[str]:
    return list(server.service.store.get(job["id"]).inputs)


@pytest.mark.parametrize("pipeline", ["image_to_3d", "image_to_parts"])
def test_views_of_a_form_become_inputs_by_their_side(server, pipeline):
    job = server.submit(SMALL, pipeline=pipeline, left=part(SMALL), right=part(SMALL))
    assert inputs_of(server, job) == ["image.png", "left.png", "right.png"]


def test_a_view_is_normalised_like_the_picture(server):
    photo = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side
    exif[0x010E] = "secret"
    noise = Image.effect_noise((80, 60), 90).convert("RGB")
    noise.save(photo, "JPEG", exif=exif)
    job = server.submit(SMALL, back=part(photo.getvalue(), "back.jpg"))
    assert inputs_of(server, job) == ["image.png", "back.jpg"]
    path = server.service.artefacts.input_path(job["id"], "back.jpg")
    assert b"secret" not in path.read_bytes()
    with Image.open(path) as kept:
        assert kept.size == (60, 80)


def test_views_of_json_become_inputs_too(server):
    body = {
        "pipeline": "image_to_3d",
        "image": uri(SMALL),
        "views": {"left": uri(SMALL), "back": uri(SMALL)},
    }
    answer = server.client.post("/api/v1/jobs", json=body)
    assert answer.status_code == 202
    assert inputs_of(server, answer.json) == ["image.png", "left.png", "back.png"]


def test_empty_fields_of_a_form_are_no_views(server):
    job = server.submit(SMALL, left=part(b"", ""), back=part(b"", ""))
    assert inputs_of(server, job) == ["image.png"]


@pytest.mark.parametrize(
    ("views", "pointer"),
    [
        ({"top": "data:image/png;base64,AA=="}, "/views/top"),
        ({"left": "https://example.org/a.png"}, "/views/left"),
        ({"left": 5}, "/views/left"),
        (["left"], "/views"),
        ("left", "/views"),
    ],
)
def test_views_that_are_none_are_refused_by_name(server, views, pointer):
    body = {"pipeline": "image_to_3d", "image": uri(SMALL), "views": views}
    answer = server.client.post("/api/v1/jobs", json=body)
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == pointer
    assert server.count() == 0


def test_an_unknown_field_and_two_of_a_kind_are_refused(server):
    unknown = server.post(SMALL, top=part(SMALL))
    double = server.post(SMALL, left=[part(SMALL), part(SMALL)])
    for answer, name in ((unknown, "top"), (double, "left")):
        assert answer.status_code == 422
        assert answer.json["errors"][0]["pointer"] == f"/{name}"


@pytest.mark.parametrize("pipeline", ["cut_out", "tune"])
def test_pipelines_that_use_no_views_refuse_them(server, pipeline):
    answer = server.post(SMALL, pipeline=pipeline, left=part(SMALL))
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "/left"
    assert "image_to_3d" in answer.json["detail"]


def test_pipelines_of_meshes_refuse_views(server):
    answer = server.post(b"glTF", "a.glb", pipeline="segment_parts", back=part(SMALL))
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "/back"


def test_a_broken_view_is_named(server):
    answer = server.post(SMALL, right=part(SMALL[:60]))
    assert answer.status_code in (415, 422)
    assert "from the right" in answer.json["detail"]
    assert answer.json["errors"][0]["pointer"] == "/right"
    assert server.count() == 0


def test_a_view_without_an_object_is_named(server):
    plain = io.BytesIO()
    Image.new("RGB", (64, 64), "white").save(plain, "PNG")
    answer = server.post(SMALL, back=part(plain.getvalue()))
    assert answer.json["code"] == "no-foreground"
    assert "from the back" in answer.json["detail"]


def test_the_limit_counts_all_pictures_together(make_server):
    server = make_server(max_upload_mb=1)
    third = png_bytes(Image.effect_noise((640, 640), 90))
    assert 350_000 < len(third) < 500_000
    assert post_fields(server, third, "file", "left").status_code == 202
    assert post_fields(server, third, "file", "left", "back").status_code == 413


def test_a_retry_keeps_the_views(server):
    job = server.submit(SMALL, left=part(SMALL))
    server.finish(server.claim(), {})
    again = server.client.post(
        f"/api/v1/jobs/{job['id']}/retry", json={"params": {"model": "hunyuan3d-2mv"}}
    )
    assert again.status_code == 202
    assert inputs_of(server, again.json) == ["image.png", "left.png"]
    assert server.service.artefacts.input_path(again.json["id"], "left.png").is_file()


def test_a_key_used_with_other_views_is_refused(server):
    headers = {"Idempotency-Key": "k"}
    first = server.post(SMALL, headers=headers, left=part(SMALL))
    same = server.post(SMALL, headers=headers, left=part(SMALL))
    moved = server.post(SMALL, headers=headers, right=part(SMALL))
    assert (first.status_code, same.status_code) == (202, 200)
    assert moved.json["code"] == "idempotency-key-reused"


def test_a_batch_takes_no_views(server):
    item = {"image": uri(SMALL), "views": {"left": uri(SMALL)}}
    answer = server.client.post(
        "/api/v1/batches",
        json={"pipeline": "image_to_3d", "items": [item, {"image": item["image"]}]},
    )
    assert answer.status_code == 202
    refused, taken = answer.json["items"]
    assert "not taken in a batch" in refused["problem"]["detail"]
    assert taken["job_id"]


def test_views_of_other_people_are_not_found(keyed, ann, ben):
    form = {"pipeline": "image_to_3d", "file": part(SMALL), "left": part(SMALL)}
    job = ann.post("/api/v1/jobs", data=form).json["id"]
    assert ann.get(f"/jobs/{job}/views/left").status_code == 200
    assert ben.get(f"/jobs/{job}/views/left").status_code == 404
    assert ben.get(f"/?from={job}").status_code == 404
