from __future__ import annotations

import pytest

from backend.meshes.reading.__main__ import answer_for
from backend.meshes.reading.mesh_format import mesh_format
from backend.meshes.reading.not_read import not_read, noted_in
from backend.meshes.reading.read_mesh import read_mesh
from backend.meshes.source_mesh import AlphaMode
from tests.meshes.reading.files import (
    cube_file,
    obj_of_cube,
    picture,
    ply_of_cube,
    stl_of_cube,
    textured_file,
)


def named(data: bytes) -> list[str]:
    return not_read(data, mesh_format(data))


def test_a_plain_file_leaves_nothing_behind():
    for data in (
        cube_file().glb(),
        cube_file().gltf(),
        obj_of_cube(),
        stl_of_cube(),
        ply_of_cube(),
    ):
        assert named(data) == []


def test_what_a_glb_holds_beside_is_named():
    file = textured_file(picture())
    material = file.document["materials"][0]
    material |= {"normalTexture": {"index": 0}, "emissiveFactor": [0, 1, 0]}
    file.document["animations"] = [{"channels": []}]
    file.document["nodes"] += [{"mesh": 0}, {"mesh": 0}]
    assert named(file.glb()) == [
        "normal maps",
        "light that it gives off",
        "animations (it is taken as it stands)",
        "the names of its 3 objects, which became one",
    ]


@pytest.mark.parametrize("wrong", [{"materials": 3}, {"materials": [3, {}]}, {"nodes": None}])
def test_a_file_that_contradicts_itself_is_no_error_here(wrong):
    file = cube_file()
    file.document |= wrong
    assert named(file.glb()) == []


def test_the_material_file_and_the_objects_of_an_obj_are_named():
    data = b"mtllib a.mtl\no one\n" + obj_of_cube() + b"o other\n"
    assert [words.split(" ")[1] for words in named(data)] == ["colours", "names"]
    assert "2 objects" in named(data)[1]


def test_the_texture_of_a_ply_is_named():
    data = ply_of_cube().replace(b"ply\n", b"ply\ncomment TextureFile a.png\n", 1)
    assert named(data) == ["the texture, which is another file"]


def test_it_is_noted_in_the_mesh_that_is_kept(tmp_path):
    data = b"mtllib a.mtl\n" + obj_of_cube()
    with (tmp_path / "mesh.glb").open("wb") as file:
        assert "facts" in answer_for(data, 1000, file.fileno())
    assert noted_in(tmp_path / "mesh.glb") == named(data)
    (tmp_path / "cube.glb").write_bytes(cube_file().glb())
    assert noted_in(tmp_path / "cube.glb") == []


def test_leaves_stay_cut_out_by_their_texture(tmp_path):
    file = textured_file(picture())
    file.document["materials"][0] |= {"alphaMode": "MASK", "alphaCutoff": 0.3}
    with (tmp_path / "mesh.glb").open("wb") as target:
        assert "facts" in answer_for(file.glb(), 1000, target.fileno())
    look = read_mesh(tmp_path / "mesh.glb").materials[0]
    assert (look.alpha_mode, look.alpha_cutoff) == (AlphaMode.MASK, pytest.approx(0.3))
