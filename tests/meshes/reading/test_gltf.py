"""glTF as the specification has it."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
from PIL import Image

from backend.errors import (
    ExternalResource,
    MeshCorrupt,
    MeshTooLarge,
    UnsupportedExtension,
    UnusableMesh,
)
from backend.meshes.reading.mesh_limits import MeshLimits
from backend.meshes.reading.read_mesh import judge_mesh
from backend.meshes.reading.vertex_colors import to_linear, to_srgb
from tests.meshes.reading.files import (
    CUBE,
    TRIANGLE,
    GltfFile,
    cube_file,
    glb,
    picture,
    png_header,
    textured_file,
)

SQUARE = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], dtype="<f4")


def read(file: GltfFile | bytes, **limits: int):
    data = file if isinstance(file, bytes) else file.glb()
    return judge_mesh(data, MeshLimits(**limits)).mesh


def corners(mesh) -> list:
    return mesh.vertices[mesh.faces].tolist()


def test_strips_turn_every_second_triangle():
    file = GltfFile()
    file.node(mesh=file.surface(SQUARE, [0, 1, 2, 3], mode=5))
    assert read(file).faces.tolist() == [[0, 1, 2], [1, 3, 2]]


def test_stitches_of_strips_are_dropped():
    file = GltfFile()
    file.node(mesh=file.surface(SQUARE, [0, 1, 2, 2, 2, 1, 3], mode=5))
    assert read(file).faces.tolist() == [[0, 1, 2], [2, 1, 3]]


def test_fans_end_at_their_first_corner():
    file = GltfFile()
    file.node(mesh=file.surface(SQUARE, [0, 1, 3, 2], mode=6))
    assert read(file).faces.tolist() == [[1, 3, 0], [3, 2, 0]]


def test_without_indices_each_three_vertices_are_a_face():
    file = GltfFile()
    file.node(mesh=file.surface(TRIANGLE))
    assert corners(read(file)) == [TRIANGLE.tolist()]


def test_points_and_lines_are_left_out():
    file = cube_file()
    file.document["meshes"][0]["primitives"].append({"attributes": {"POSITION": 0}, "mode": 1})
    assert len(read(file).faces) == 12


def test_each_instance_stands_in_its_place_and_mirrors_turn_faces():
    file = GltfFile()
    mesh = file.surface(TRIANGLE, [0, 1, 2])
    child = file.add("nodes", {"mesh": mesh, "translation": [1, 0, 0]})
    turn = [0, 0, 0.5**0.5, 0.5**0.5]  # a quarter about z
    file.node(children=[child], rotation=turn, scale=[2, 2, 2])
    file.node(mesh=mesh, matrix=[-1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 5, 1])
    found = read(file)
    np.testing.assert_allclose(
        found.vertices[found.faces[0]], [[0, 2, 0], [0, 4, 0], [-2, 2, 0]], atol=1e-6
    )
    np.testing.assert_allclose(
        found.vertices[found.faces[1]], [[0, 1, 5], [-1, 0, 5], [0, 0, 5]], atol=1e-6
    )


def test_only_the_scene_that_is_shown_counts():
    file = cube_file()
    file.add("nodes", {"mesh": file.surface(TRIANGLE)})
    assert len(read(file).faces) == 12


def test_interleaved_rows_and_small_indices():
    file = GltfFile()
    rows = np.zeros(3, dtype=[("p", "<f4", 3), ("n", "<f4", 3), ("t", "<f4", 2)])
    rows["p"], rows["t"] = TRIANGLE, [[0, 0], [1, 0], [0, 1]]
    view = file.view(rows.tobytes(), byteStride=32)
    common = {"bufferView": view, "componentType": 5126, "count": 3}
    attributes = {
        "POSITION": file.add("accessors", {**common, "type": "VEC3"}),
        "TEXCOORD_0": file.add("accessors", {**common, "type": "VEC2", "byteOffset": 24}),
    }
    indices = file.accessor(np.array([2, 0, 1], dtype="u1"))
    file.node(mesh=file.mesh({"attributes": attributes, "indices": indices}))
    mesh = read(file)
    assert corners(mesh) == [TRIANGLE[[2, 0, 1]].tolist()]
    assert mesh.uvs.tolist() == [[0, 0], [1, 0], [0, 1]]


def test_quantised_positions_and_normalised_texture_coordinates():
    file = GltfFile()
    uvs = np.array([[0, 65535], [65535, 0], [32768, 0]], dtype="<u2")
    positions = np.array([[0, 0, 0, 0], [200, 0, 0, 0], [0, 100, 0, 0]], dtype="<u2")
    view = file.view(positions.tobytes(), byteStride=8)
    entry = {"bufferView": view, "componentType": 5123, "count": 3, "type": "VEC3"}
    attributes = {
        "POSITION": file.add("accessors", entry),
        "TEXCOORD_0": file.accessor(uvs, normalized=True),
    }
    file.node(mesh=file.mesh({"attributes": attributes}), scale=[0.01, 0.01, 0.01])
    file.document["extensionsRequired"] = ["KHR_mesh_quantization"]
    mesh = read(file)
    np.testing.assert_allclose(mesh.vertices, [[0, 0, 0], [2, 0, 0], [0, 1, 0]], rtol=1e-6)
    np.testing.assert_allclose(mesh.uvs, [[0, 1], [1, 0], [0.5, 0]], atol=1e-4)


def test_sparse_accessors_change_rows():
    file = cube_file()
    rows = file.view(np.array([1, 3], dtype="<u2").tobytes())
    values = file.view(np.array([[9, 9, 9], [8, 8, 8]], dtype="<f4").tobytes())
    file.document["accessors"][0]["sparse"] = {
        "count": 2,
        "indices": {"bufferView": rows, "componentType": 5123},
        "values": {"bufferView": values},
    }
    found = read(file).vertices
    assert found[[1, 3]].tolist() == [[9, 9, 9], [8, 8, 8]]
    np.testing.assert_array_equal(found[[0, 2]], CUBE.vertices[[0, 2]])


def test_primitives_that_share_vertices_do_not_double_them():
    file = cube_file()
    first = file.document["meshes"][0]["primitives"][0]
    halves = [file.accessor(CUBE.faces[half].astype("<u4").reshape(-1))
              for half in (slice(0, 6), slice(6, 12))]  # fmt: skip
    file.document["meshes"][0]["primitives"] = [
        {**first, "indices": halves[0], "material": 0},
        {**first, "indices": halves[1], "material": 1},
    ]
    file.document["materials"] = [{"name": "a"}, {"name": "b", "doubleSided": True}]
    mesh = read(file)
    assert (len(mesh.vertices), mesh.face_materials.tolist()) == (8, [0] * 6 + [1] * 6)
    assert [material.is_double_sided for material in mesh.materials] == [False, True]
    np.testing.assert_array_equal(mesh.faces, CUBE.faces)


def test_unused_vertices_are_left_out():
    file = GltfFile()
    many = np.vstack([np.full((5000, 3), 7, dtype="<f4"), TRIANGLE])
    file.node(mesh=file.surface(many, [5000, 5001, 5002]))
    assert read(file).vertices.tolist() == TRIANGLE.tolist()


def skinned_file() -> GltfFile:
    """A triangle of which two corners hang on a bone that is lifted, one on a bone that stays."""
    file = GltfFile()
    attributes = {
        "JOINTS_0": file.accessor(np.array([[0] * 4, [1] * 4, [0, 1, 0, 0]], dtype="u1")),
        "WEIGHTS_0": file.accessor(
            np.array([[255, 0, 0, 0], [255, 0, 0, 0], [127, 127, 0, 0]], dtype="u1"),
            normalized=True,
        ),
    }
    file.node(mesh=file.surface(TRIANGLE, attributes=attributes), skin=0, scale=[100, 100, 100])
    file.node(translation=[0, 0, 2])
    file.node()
    binding = np.eye(4, dtype="<f4")
    binding[3, 0] = 5  # column by column: moved along x
    inverse = file.accessor(np.stack([binding, np.eye(4, dtype="<f4")]).reshape(2, 16))
    file.add("skins", {"joints": [1, 2], "inverseBindMatrices": inverse})
    return file


def test_vertices_hang_on_bones_and_not_on_their_node():
    np.testing.assert_allclose(read(skinned_file()).vertices, [[5, 0, 2], [1, 0, 0], [2.5, 1, 1]])


BAD_SKINS = {
    "a bone that is not in the scene": {"joints": [1, 99]},
    "no bones": {"joints": []},
    "too few bones": {"joints": [1]},
    "bones that are no list": {"joints": "all"},
    "too few matrices": {"joints": [1, 2, 1], "inverseBindMatrices": 3},
}


@pytest.mark.parametrize("name", BAD_SKINS)
def test_skins_that_contradict_themselves_are_damage(name):
    file = skinned_file()
    file.document["skins"] = [BAD_SKINS[name]]
    with pytest.raises(MeshCorrupt):
        read(file)


def test_colours_are_counted_in_light():
    file = GltfFile()
    colours = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0, 0, 0.0031308]], dtype="<f4")
    file.node(mesh=file.surface(TRIANGLE, attributes={"COLOR_0": file.accessor(colours)}))
    assert read(file).colors.tolist() == [
        [255, 0, 0, 255], [188, 188, 188, 255], [0, 0, 10, 255]
    ]  # fmt: skip


def test_every_colour_survives_the_way_to_light_and_back():
    steps = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 4, axis=1)
    np.testing.assert_array_equal(to_srgb(to_linear(steps) / 65535), steps)


@pytest.mark.parametrize(("kind", "mime"), [("PNG", "image/png"), ("JPEG", "image/jpeg")])
def test_textures_are_kept_as_they_are(kind, mime):
    data = picture(kind)
    mesh = read(textured_file(data))
    (material,) = mesh.materials
    assert (material.texture.data, material.texture.mime) == (data, mime)
    assert (material.name, material.base_color) == ("paint", (1, 0.5, 0.25, 1))
    assert mesh.uvs.tolist() == [[0, 0], [1, 0], [0, 0.5]]


def test_webp_becomes_png():
    file = textured_file(picture("WEBP"))
    file.document["textures"] = [{"extensions": {"EXT_texture_webp": {"source": 0}}}]
    file.document["extensionsRequired"] = ["EXT_texture_webp"]
    assert read(file).materials[0].texture.mime == "image/png"


def test_texture_coordinates_are_moved_as_the_material_says():
    moved = {"offset": [0.5, 0], "rotation": np.pi / 2, "scale": [2, 1]}
    file = textured_file(picture(), extensions={"KHR_texture_transform": moved})
    np.testing.assert_allclose(read(file).uvs, [[0.5, 0], [0.5, -2], [1, 0]], atol=1e-6)


def test_a_file_that_says_so_holds_its_buffer_itself():
    data = cube_file().gltf()
    assert b"base64" in data
    assert len(read(data).faces) == 12


EXTERNAL = ["../../etc/passwd", "/etc/passwd", "http://127.0.0.1/x", "file:///etc/passwd", 7]


@pytest.mark.parametrize("uri", EXTERNAL)
@pytest.mark.parametrize("kind", ["buffers", "images"])
def test_nothing_beside_the_file_is_opened(uri, kind):
    file = cube_file()
    file.add(kind, {"uri": uri, "byteLength": 10})
    with pytest.raises(ExternalResource, match="lies elsewhere"):
        read(file)


@pytest.mark.parametrize(
    "name",
    ["KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_texture_basisu", "ACME_new"],
)
def test_extensions_that_cannot_be_read_are_named(name):
    file = cube_file()
    file.document["extensionsRequired"] = [name]
    with pytest.raises(UnsupportedExtension, match=name) as caught:
        read(file)
    assert "Export it again" in caught.value.advice


def test_draco_is_noticed_where_no_list_tells_of_it():
    file = cube_file()
    del file.document["accessors"][0]["bufferView"]
    primitive = file.document["meshes"][0]["primitives"][0]
    primitive["extensions"] = {"KHR_draco_mesh_compression": {"bufferView": 0}}
    with pytest.raises(UnsupportedExtension):
        read(file)


def test_extensions_of_looks_do_no_harm():
    file = cube_file()
    file.document["extensionsRequired"] = ["KHR_materials_unlit", "KHR_lights_punctual"]
    assert len(read(file).faces) == 12


def _bent(**changes: object):
    """Replace values of the JSON by their path, such as ``accessors__0__count``."""

    def make() -> bytes:
        file = cube_file()
        for path, value in changes.items():
            *way, last = [int(word) if word.isdigit() else word for word in path.split("__")]
            place = file.document
            for word in way:
                place = place[word]
            place[last] = value
        return file.glb()

    return make


def _cyclic(*children: list[int]):
    return _bent(nodes=[{"mesh": 0, "children": below} for below in children])


CORRUPT = {
    "a count of 2e9": _bent(accessors__0__count=2_000_000_000),
    "a count of indices of 2e9": _bent(accessors__1__count=2_000_000_001),
    "a count of 10^30": _bent(accessors__0__count=10**30),
    "a negative count": _bent(accessors__0__count=-1),
    "a count that is text": _bent(accessors__0__count="8"),
    "a count without data": _bent(
        accessors__0={"count": 2_000_000_000, "componentType": 5126, "type": "VEC3"}),
    "an offset past the end": _bent(accessors__0__byteOffset=1 << 40),
    "a view past its buffer": _bent(bufferViews__0__byteLength=1 << 40),
    "a buffer past the file": _bent(buffers__0__byteLength=1 << 40),
    "a stride of a gigabyte": _bent(bufferViews__0__byteStride=1 << 30),
    "a stride of nothing": _bent(bufferViews__0__byteStride=0),
    "positions of two": _bent(accessors__0__type="VEC2"),
    "indices that are fractions": _bent(accessors__1__componentType=5126),
    "an accessor that is not there": _bent(meshes__0__primitives__0__indices=99),
    "a mesh that is not there": _bent(nodes__0__mesh=99),
    "a mode of 7": _bent(meshes__0__primitives__0__mode=7),
    "35 corners": _bent(accessors__1__count=35),
    "nodes that are no list": _bent(nodes={"a": 1}),
    "a matrix of words": _bent(nodes__0__matrix=["x"] * 16),
    "a matrix of 15": _bent(nodes__0__matrix=[1] * 15),
    "a huge translation": _bent(nodes__0__translation=[10**400, 0, 0]),
    "a node below itself": _cyclic([0]),
    "a cycle of nodes": _cyclic([1], [2], [0]),
    "a node with two parents": _cyclic([1, 2], [2], []),
    "10,000 nodes deep": _cyclic(*[[number + 1] for number in range(9_999)], []),
    "deep JSON": lambda: glb(b'{"asset": {"version": "2.0"}, "x": ' + b"[" * 100_000),
    "NaN in JSON": lambda: glb(b'{"asset": {"version": "2.0"}, "x": NaN}'),
    "JSON that is cut": lambda: glb(b'{"asset": {"version"'),
    "JSON that is no text": lambda: glb(b"\xff\xfe\x00\x01"),
    "a file that is cut": lambda: cube_file().glb()[:-40],
    "only a header": lambda: b"glTF\2\0\0\0",
    "a chunk past the end": lambda: b"glTF" + bytes([2, 0, 0, 0, 24, 0, 0, 0]) + b"\xff" * 12,
    "a data URI that is no base64": _bent(buffers__0__uri="data:x;base64,%%%"),
    "a data URI in plain": _bent(buffers__0__uri="data:text/plain,abc"),
}  # fmt: skip


@pytest.mark.parametrize("name", CORRUPT)
def test_what_contradicts_itself_is_damage(name):
    with pytest.raises(MeshCorrupt):
        read(CORRUPT[name]())


UNUSABLE = {
    "an index out of range": lambda: _with_faces([0, 1, 99]),
    "no faces": lambda: json.dumps({"asset": {"version": "2.0"}}).encode(),
    "not a number": lambda: _with_vertices([np.nan, 0, 0]),
    "infinite": lambda: _with_vertices([np.inf, 0, 0]),
    "too far away": lambda: _with_vertices([1e30, 0, 0]),
    "too large by its matrix": lambda: cube_file(scale=[1e299, 1, 1]).glb(),
    "flat by its matrix": lambda: cube_file(scale=[0, 0, 1]).glb(),
    "a point": lambda: _with_vertices([0, 0, 0], [0, 0, 0]),
    "a line": lambda: _with_vertices([2, 0, 0]),
}


def _with_faces(faces: list[int]) -> bytes:
    file = GltfFile()
    file.node(mesh=file.surface(TRIANGLE, faces))
    return file.glb()


def _with_vertices(third: list[float], second: list[float] | None = None) -> bytes:
    file = GltfFile()
    file.node(mesh=file.surface([[0, 0, 0], second or [1, 0, 0], third], [0, 1, 2]))
    return file.glb()


@pytest.mark.parametrize("name", UNUSABLE)
def test_what_is_no_surface_cannot_be_used(name):
    with pytest.raises(UnusableMesh):
        read(UNUSABLE[name]())


def test_all_instances_together_count_as_faces():
    file = cube_file()
    for _ in range(9):
        file.node(mesh=0)
    assert len(read(file, faces=120).faces) == 120
    with pytest.raises(MeshTooLarge, match="120 faces; at most 119"):
        read(file, faces=119)


def test_many_pieces_are_too_many():
    file = cube_file()
    for place in range(9):
        file.node(mesh=0, translation=[2 * place + 2, 0, 0])
    assert judge_mesh(file.glb(), MeshLimits(components=10)).components == 10
    with pytest.raises(MeshTooLarge, match="10 separate pieces; at most 9"):
        read(file, components=9)


def test_pieces_are_told_apart_by_place_not_by_index():
    file = GltfFile()
    file.node(mesh=file.surface(CUBE.vertices[CUBE.faces].reshape(-1, 3)))
    assert judge_mesh(file.glb(), MeshLimits()).components == 1


BAD_TEXTURES = {
    "no picture": (b"hello", MeshCorrupt),
    "half a picture": (picture()[:40], MeshCorrupt),
    "ktx2": (b"\xabKTX 20\xbb\r\n\x1a\n", UnsupportedExtension),
    "too many pixels": (picture(size=(1200, 1200)), MeshTooLarge),
    "too long a side": (picture(size=(3000, 1)), MeshTooLarge),
}


@pytest.mark.parametrize("name", BAD_TEXTURES)
def test_textures_are_judged(name):
    data, expected = BAD_TEXTURES[name]
    with pytest.raises(expected, match=r"images\[0\]"):
        read(textured_file(data), texture_side_px=2048, texture_megapixels=1)


def test_a_bomb_of_pixels_is_refused_by_its_header(monkeypatch):
    file = textured_file(png_header(20_000))
    monkeypatch.setattr(Image.Image, "load", lambda _image: pytest.fail("it was decoded"))
    with pytest.raises(MeshTooLarge, match="more than 179 megapixels"):
        read(file)


def test_a_texture_may_be_a_data_uri():
    file = textured_file(b"")
    uri = "data:image/png;base64," + base64.b64encode(picture()).decode()
    file.document["images"] = [{"uri": uri}]
    assert read(file).materials[0].texture.data == picture()
