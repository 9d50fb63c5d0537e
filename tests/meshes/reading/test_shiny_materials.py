"""Which maps of roughness and metal are read, and which are named as left behind."""

from __future__ import annotations

import pytest

from backend.meshes.reading.mesh_format import mesh_format
from backend.meshes.reading.mesh_limits import MeshLimits
from backend.meshes.reading.not_read import not_read
from backend.meshes.reading.read_mesh import judge_mesh
from tests.meshes.reading.files import picture, textured_file

LEFT = ["maps of roughness and metal"]


def shiny_file(shine=None, **surface):
    """The textured cube whose material has a map of roughness and metal as well."""
    file = textured_file(picture())
    found = file.document["materials"][0]["pbrMetallicRoughness"]
    found["metallicRoughnessTexture"] = shine or dict(found["baseColorTexture"])
    found |= surface
    return file


def read(file, limits=None):
    """Read a file; returns its material, and what is named as left behind."""
    data = file.glb()
    mesh = judge_mesh(data, limits or MeshLimits()).mesh
    return mesh.materials[0], not_read(data, mesh_format(data), mesh.materials)


def test_a_map_that_lies_where_the_texture_lies_is_kept_with_its_factors():
    look, left = read(shiny_file())
    assert look.metallic_roughness == look.texture
    assert (look.metallic, look.roughness) == (1.0, 1.0), "as glTF says where nothing is said"
    assert left == []
    look, _ = read(shiny_file(metallicFactor=0.25, roughnessFactor=0.5))
    assert (look.metallic, look.roughness) == (0.25, 0.5)


@pytest.mark.parametrize("more", [
    {"texCoord": 1}, {"extensions": {"KHR_texture_transform": {"scale": [2, 2]}}},
])  # fmt: skip
def test_a_map_that_lies_elsewhere_stays_behind_and_is_named(more):
    look, left = read(shiny_file({"index": 0, **more}))
    assert look.texture is not None
    assert look.metallic_roughness is None
    assert look.metallic == 0.0
    assert left == LEFT


def test_a_map_alone_is_kept():
    file = shiny_file()
    surface = file.document["materials"][0]["pbrMetallicRoughness"]
    del surface["baseColorTexture"]
    look, left = read(file)
    assert look.texture is None
    assert look.metallic_roughness is not None
    assert left == []


def broken_map():
    file = shiny_file()
    view = file.view(b"no picture at all")
    number = file.add("images", {"bufferView": view, "mimeType": "image/png"})
    texture = file.add("textures", {"source": number})
    surface = file.document["materials"][0]["pbrMetallicRoughness"]
    surface["metallicRoughnessTexture"] = {"index": texture}
    return file


def test_a_broken_map_does_not_refuse_the_mesh():
    look, left = read(broken_map())
    assert look.texture is not None
    assert look.metallic_roughness is None
    assert left == LEFT
