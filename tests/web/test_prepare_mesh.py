"""Jobs that check and convert a mesh, from request to stored job."""

from __future__ import annotations

import io

import pytest

from tests.meshes.reading.files import stl_of_cube
from tests.web.meshes import post_form, without_child  # noqa: F401

pytestmark = pytest.mark.usefixtures("without_child")


def post(server, data: bytes = b"", **fields):
    file = (io.BytesIO(data or stl_of_cube()), "cube.stl")
    return post_form(server, {"pipeline": "prepare_mesh", "file": file, **fields})


def test_a_mesh_becomes_a_job_with_its_stages(server):
    answer = post(server, format="obj", units="mm", target_faces="8", repair="false")
    assert answer.status_code == 202, answer.text
    job = server.client.get(f"/api/v1/jobs/{answer.json['id']}").json
    assert [stage["name"] for stage in job["stages"]] == [
        "mesh_loading", "mesh_repair", "mesh_decimation", "mesh_export"
    ]  # fmt: skip
    params = job["params"]
    assert (params["format"], params["units"], params["target_faces"]) == ("obj", "mm", 8)
    assert (params["repair"], params["from_up"], params["size_m"]) == (False, "y", None)


@pytest.mark.parametrize(
    ("field", "value"), [("format", "fbx"), ("units", "yd"), ("target_faces", "3"), ("seed", "1")]
)
def test_a_wrong_parameter_is_named(server, field, value):
    answer = post(server, **{field: value})
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == f"/params/{field}"


def test_what_is_no_mesh_is_refused_before_it_is_a_job(server):
    answer = post(server, b"hello, I am no mesh")
    assert (answer.status_code, answer.json["code"]) == (415, "unsupported-mesh")
    assert answer.json["advice"]


def test_part_numbers_are_not_for_it(server):
    numbers = (io.BytesIO(b"\x93NUMPY"), "face_ids.npy")
    assert post(server, face_ids=numbers).status_code == 422
