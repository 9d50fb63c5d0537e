"""Sending a mesh with pictures, and colouring the model of a job anew."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select

from backend.jobs.access.viewer import work_for
from backend.jobs.schema import JobRow
from tests.conftest import draw_figure, png_bytes
from tests.meshes.reading.files import cube_file
from tests.web.keyed import Caller, logged_in
from tests.web.meshes import post_form, post_page, without_child  # noqa: F401
from tests.web.test_part_picks import problem
from tests.web.test_parts_api import finish

pytestmark = pytest.mark.usefixtures("without_child")
MESH = cube_file().glb()
PICTURE = png_bytes(draw_figure(64))
FACTS = {
    "mesh": {"faces": 3000, "closed": True, "bodies": 1, "extents_m": [1, 1, 1], "outline_iou": 1},
    "texture": {
        "size_px": [512, 512],
        "back_side": "auto",
        "symmetry": {"accepted": True, "distance_spacings": 0.35},
        "area_shares": {"seen": 0.4, "reflected": 0.0, "through": 0.35, "filled": 0.25},
        "exposure_gains": [
            {"azimuth_deg": 0.0, "rgb": [1.0, 1.0, 1.0]},
            {"azimuth_deg": 90.0, "rgb": [1.2, 1.25, 1.3]},
        ],
    },
}


def part(data: bytes, name: str) -> tuple[io.BytesIO, str]:
    return io.BytesIO(data), name


def fields(**more):
    given = {"file": part(MESH, "cube.glb"), "image": part(PICTURE, "front.png")}
    return {"pipeline": "texture_mesh", **given, **more}


def uri(data: bytes) -> str:
    return "data:application/octet-stream;base64," + base64.b64encode(data).decode()


def cost_key(server, job_id) -> str:
    with server.service.store.engine.connect() as connection:
        return connection.scalar(select(JobRow.cost_key).where(JobRow.id == job_id))


def inputs(server, job_id):
    job = server.service.store.get(job_id)
    paths = {name: server.service.artefacts.input_path(job_id, name) for name in job.inputs}
    return {name: path.read_bytes() for name, path in paths.items()}


def test_mesh_picture_mask_and_sides_become_the_inputs_of_a_job(server):
    mask = png_bytes(Image.new("L", (64, 64), 255))
    more = {"mask": part(mask, "mask.png"), "left": part(PICTURE, "l.png"), "seed": "5"}
    answer = post_form(server, fields(**more))
    assert answer.status_code == 202, answer.text
    job = answer.json
    assert (job["pipeline"], job["name"], job["params"]["seed"]) == ("texture_mesh", "cube.glb", 5)
    assert set(inputs(server, job["id"])) == {"mesh.glb", "image.png", "mask.png", "left.png"}
    assert cost_key(server, job["id"]).endswith(":up to 1k faces")
    assert server.client.get(f"/jobs/{job['id']}").status_code == 200


def test_json_takes_the_same(server):
    body = {
        "pipeline": "texture_mesh",
        "mesh": uri(MESH),
        "image": uri(PICTURE),
        "views": {"back": uri(PICTURE)},
        "params": {"back_side": "plain"},
    }
    answer = server.client.post("/api/v1/jobs", json=body)
    assert answer.status_code == 202, answer.text
    assert set(inputs(server, answer.json["id"])) == {"mesh.glb", "image.png", "back.png"}


def test_the_form_without_javascript_leads_to_its_job(server):
    answer = post_page(server, fields(delight="", upscale="true", texture_size_px=""))
    assert answer.status_code == 303
    job = server.service.store.get(answer.location.rsplit("/", 1)[1])
    assert (job.params["delight"], job.params["upscale"]) == (None, True)
    assert set(job.inputs) == {"mesh.glb", "image.png"}


def test_a_mesh_and_a_picture_are_needed(server):
    for without in ("image", "file"):
        sent = fields()
        del sent[without]
        assert problem(post_form(server, sent)) == (400, "missing-file")


def test_other_pipelines_of_meshes_take_no_picture(server):
    for pipeline in ("segment_parts", "prepare_mesh"):
        answer = post_form(server, fields(pipeline=pipeline))
        assert problem(answer) == (422, "invalid-parameter")
        assert answer.json["errors"][0]["pointer"] == "/image"


def test_a_picture_pipeline_takes_its_picture_as_file_only(server):
    sent = {"pipeline": "image_to_3d", "file": part(PICTURE, "a.png")}
    answer = post_form(server, {**sent, "image": part(PICTURE, "b.png")})
    assert answer.json["errors"][0]["pointer"] == "/image"


def test_a_picture_of_one_colour_and_a_broken_mesh_are_told_apart(server):
    blank = part(png_bytes(Image.new("RGB", (64, 64), (9, 9, 9))), "blank.png")
    assert problem(post_form(server, fields(image=blank))) == (422, "no-foreground")
    broken = part(MESH[:60], "cube.glb")
    assert problem(post_form(server, fields(file=broken)))[1] == "mesh-corrupt"


# ------------------------------------------------------------------ again


def finished(server, pipeline="image_to_3d", **params) -> str:
    """A finished job of a pipeline with a model, and a picture where it takes one."""
    seeded = {} if pipeline == "prepare_mesh" else {"seed": 7}
    new = server.service.prepare(pipeline, seeded | params, "doll.png")
    given = {"image.png": PICTURE, "left.png": PICTURE, "mask.png": b"mask"}
    if pipeline in ("texture_mesh", "prepare_mesh"):
        given = {"mesh.glb": b"glTF given"} | (given if pipeline == "texture_mesh" else {})
    job = server.service.submit(new, given)[0]
    files = {"model.glb": ("model", b"glTF model"), "albedo.png": ("albedo", PICTURE)}
    assert finish(server, files, FACTS) == job.id
    return job.id


def again(server, job_id, **body):
    return server.client.post(f"/api/v1/jobs/{job_id}/texture", json=body)


def test_a_model_is_coloured_anew_without_a_new_shape(server):
    first = finished(server, back_side="mirror", texture_size_px=512)
    answer = again(server, first, params={"back_side": "plain"})
    assert answer.status_code == 202, answer.text
    job = answer.json
    assert (job["pipeline"], job["name"]) == ("texture_mesh", "doll.png")
    params = job["params"]
    assert (params["back_side"], params["texture_size_px"], params["seed"]) == ("plain", 512, 7)
    assert (params["engine"], params["keep_uvs"]) == ("auto", False)
    assert inputs(server, job["id"]) == {
        "mesh.glb": b"glTF model", "image.png": PICTURE, "left.png": PICTURE, "mask.png": b"mask"
    }  # fmt: skip
    assert cost_key(server, job["id"]).endswith(":up to 4k faces")


def test_the_page_tells_how_pictures_were_brought_together(server):
    page = server.client.get(f"/jobs/{finished(server, 'texture_mesh')}").text
    assert "Brightness matched</dt><dd>left ×&nbsp;1.25 <span" in page


def test_what_was_coloured_is_coloured_again_from_what_was_sent(server):
    first = finished(server, "texture_mesh", keep_uvs=False, engine="projection", front="-x")
    job = server.client.post(f"/api/v1/jobs/{first}/texture").json
    assert inputs(server, job["id"])["mesh.glb"] == b"glTF given"
    assert (job["params"]["keep_uvs"], job["params"]["engine"]) == (False, "projection")
    assert job["params"]["front"] == "-x"
    assert "again-p-front" in server.client.get(f"/jobs/{first}").text


def test_a_new_picture_takes_the_place_of_all_a_side_of_its_own_only(server):
    first = finished(server)
    other = png_bytes(draw_figure(80))
    kept = inputs(server, again(server, first, image=uri(other)).json["id"])
    assert set(kept) == {"mesh.glb", "image.png"}
    assert Image.open(io.BytesIO(kept["image.png"])).size == (80, 80)
    kept = inputs(server, again(server, first, views={"left": uri(other)}).json["id"])
    assert set(kept) == {"mesh.glb", "image.png", "mask.png", "left.png"}
    assert kept["left.png"] != PICTURE


def test_a_mask_alone_belongs_to_the_old_picture(server):
    first = finished(server)
    mask = Image.fromarray(np.tril(np.full((64, 64), 255, dtype=np.uint8)))
    kept = inputs(server, again(server, first, mask=uri(png_bytes(mask))).json["id"])
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(kept["mask.png"]))), np.asarray(mask))
    wide = uri(png_bytes(Image.new("L", (128, 64), 255)))
    assert problem(again(server, first, mask=wide)) == (422, "image-too-small")


def test_a_mended_mesh_needs_a_picture_first(server):
    first = finished(server, "prepare_mesh")
    assert problem(again(server, first)) == (400, "missing-file")
    job = again(server, first, image=uri(PICTURE)).json
    assert inputs(server, job["id"])["mesh.glb"] == b"glTF model"


def test_what_cannot_be_coloured_is_refused(server):
    waiting = server.submit(PICTURE)["id"]
    assert problem(again(server, waiting)) == (409, "job-not-finished")
    server.service.cancel(waiting)
    assert problem(again(server, waiting)) == (409, "texture-unavailable")
    assert problem(again(server, "nobody"))[0] == 404
    parts = server.service.prepare("segment_parts", {}, "row.glb")
    row = server.service.submit(parts, {"mesh.glb": b"glTF"})[0].id
    finish(server, {})
    assert problem(again(server, row)) == (409, "texture-unavailable")


def test_what_does_not_belong_is_refused(server):
    first = finished(server)
    for body in (
        {"pipeline": "image_to_3d"},
        {"mesh": uri(MESH)},
        {"image_url": "https://example.org/a.png"},
        {"params": {"engine": "inflate"}},
        {"params": {"no_such": 1}},
        {"face_ids": uri(b"x")},
    ):
        assert problem(again(server, first, **body)) == (422, "invalid-parameter"), body


def test_the_page_offers_it_and_takes_its_form(server):
    first = finished(server)
    page = server.client.get(f"/jobs/{first}").text
    assert 'id="texture-again"' in page
    assert "Texture again" in page
    assert f"/jobs/{first}/maps/albedo/small" in page
    assert "maps/metallic" not in page
    assert "one half shows the colours of the other" in page
    shares = "the pictures: 40 %, the side behind: 35 %, the colours around: 25 %"
    assert shares in page.replace("&nbsp;", " ")
    assert "again-p-front" not in page, "the front of what a picture became is known"
    answer = post_page(
        server, {"back_side": "plain", "seed": "", "texture_size_px": ""}, f"/jobs/{first}/texture"
    )
    assert answer.status_code == 303
    job = server.service.store.get(answer.location.rsplit("/", 1)[1])
    assert job.params["back_side"] == "plain"
    assert job.params["seed"] != 7, "drawn, since the field was left empty"


def test_maps_are_shown_small(server):
    first = finished(server)
    answer = server.client.get(f"/jobs/{first}/maps/albedo/small")
    assert answer.mimetype == "image/webp"
    assert Image.open(io.BytesIO(answer.data)).size == (64, 64)
    tag = {"If-None-Match": answer.headers["ETag"]}
    assert server.client.get(f"/jobs/{first}/maps/albedo/small", headers=tag).status_code == 304
    for role in ("metallic", "model", "nothing"):
        assert server.client.get(f"/jobs/{first}/maps/{role}/small").status_code == 404


def test_only_who_has_the_job_may_ask_and_it_counts_as_a_submit(make_server):
    server = make_server(require_key=True)
    ann, ben = Caller(server, "ann"), Caller(server, "ben")
    work_for(ann.key)
    path = f"/api/v1/jobs/{finished(server)}/texture"
    work_for(None)
    answer = ann.post(path)
    assert answer.status_code == 202
    assert "submits" in answer.headers["RateLimit"]
    assert ben.post(path).status_code == 404
    browser, token = logged_in(server, ann.secret)
    page = path.removeprefix("/api/v1")
    assert browser.post(page, data={}).status_code == 403
    assert browser.post(page, data={"csrf_token": token}).status_code == 303
