"""What strangers bend on purpose: sizes of what is kept, counts, names, numbers of bones."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.errors import MeshCorrupt, MeshTooLarge
from backend.meshes.reading.__main__ import answer_for
from backend.meshes.reading.mesh_limits import MeshLimits
from backend.meshes.reading.read_mesh import judge_mesh
from backend.settings import Settings
from backend.web.mesh_child import read_in_child
from tests.meshes.reading.files import (
    TRIANGLE,
    GltfFile,
    cube_file,
    picture,
    ply_of_cube,
    png_bomb,
    textured_file,
)

MB = 1_000_000
HOSTILE = "\x1b[31mEVIL\n\ud800\u202e"


def many_pictures_of_the_same_bytes(count: int, padding: int) -> GltfFile:
    """Views over one JPEG, each a byte shorter, so that no two pictures are equal."""
    file = textured_file(picture("JPEG") + bytes(padding))
    view = file.document["bufferViews"][file.document["images"][0]["bufferView"]]
    primitives = file.document["meshes"][0]["primitives"]
    for number in range(1, count):
        shorter = file.add("bufferViews", {**view, "byteLength": view["byteLength"] - number})
        source = file.add("images", {"bufferView": shorter, "mimeType": "image/jpeg"})
        texture = {"index": file.add("textures", {"source": source})}
        material = {"pbrMetallicRoughness": {"baseColorTexture": texture}}
        primitives.append({**primitives[0], "material": file.add("materials", material)})
    return file


def test_pictures_that_share_their_bytes_are_counted_each():
    data = many_pictures_of_the_same_bytes(5, MB).glb()
    with pytest.raises(MeshTooLarge, match=r"images\[3\].*more than 3 MB"):
        judge_mesh(data, MeshLimits(texture_mb=3))
    assert len(judge_mesh(data, MeshLimits(texture_mb=6)).mesh.materials) == 5


def test_a_picture_that_grows_is_counted_as_it_is_kept():
    noise = Image.effect_noise((1000, 1000), 100).convert("RGB")
    small = io.BytesIO()
    noise.save(small, "WEBP", quality=1)
    assert len(small.getvalue()) < MB
    with pytest.raises(MeshTooLarge, match="more than 1 MB"):
        judge_mesh(textured_file(small.getvalue()).glb(), MeshLimits(texture_mb=1))


def test_vertices_that_no_face_uses_are_counted():
    data = ply_of_cube("")
    loose = b"0 0 0\n" * 3000
    data = data.replace(b"element vertex 8", b"element vertex 3008")
    head, _, body = data.partition(b"end_header\n")
    with pytest.raises(MeshTooLarge, match="3,008 vertices; at most 3,000"):
        judge_mesh(head + b"end_header\n" + loose + body, MeshLimits(faces=1000))


@pytest.mark.parametrize("count", [10**300, 1e300, 2**53 + 2])
def test_a_count_that_no_file_can_hold_is_told_in_few_words(count):
    file = cube_file()
    file.document["accessors"][0]["count"] = count
    with pytest.raises(MeshCorrupt) as caught:
        judge_mesh(file.glb(), MeshLimits())
    assert len(caught.value.detail) < 200


@pytest.mark.parametrize("change", [{"extensionsRequired": [HOSTILE]}, {"scene": HOSTILE}])
def test_what_is_told_of_a_file_cannot_steer_a_terminal(change):
    file = cube_file()
    file.document.update(change)
    detail = answer_for(file.glb(), 1000, None)["problem"]["detail"]
    assert detail.isprintable()
    assert "EVIL" in detail


def test_no_vertex_hangs_on_a_bone_of_a_negative_number():
    file = GltfFile()
    hung = {
        "JOINTS_0": file.accessor(np.array([[-1, 0, 0, 0]] * 3, dtype="<i1")),
        "WEIGHTS_0": file.accessor(np.array([[1, 0, 0, 0]] * 3, dtype="<f4")),
    }
    file.node(mesh=file.surface(TRIANGLE, attributes=hung), skin=0)
    file.add("skins", {"joints": [file.node(translation=[0, 0, 2])]})
    with pytest.raises(MeshCorrupt, match="bone -1 of 1"):
        judge_mesh(file.glb(), MeshLimits())


def camera_picture(kind: str) -> bytes:
    """A JPEG as cameras write it: with Exif; or of two pictures (MPO)."""
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112], exif[0x011A] = 1, 72.0
    image = Image.new("RGB", (8, 8), (200, 30, 30))
    if kind == "MPO":
        image.save(buffer, "MPO", save_all=True, append_images=[image])
    else:
        image.save(buffer, kind, exif=exif)
    return buffer.getvalue()


def test_pictures_of_cameras_are_read_while_no_file_may_be_opened():
    file = textured_file(camera_picture("JPEG"))
    source = file.view(camera_picture("MPO"))
    source = file.add("images", {"bufferView": source, "mimeType": "image/jpeg"})
    texture = {"index": file.add("textures", {"source": source})}
    material = file.add("materials", {"pbrMetallicRoughness": {"baseColorTexture": texture}})
    primitives = file.document["meshes"][0]["primitives"]
    primitives.append({**primitives[0], "material": material})
    with tempfile.TemporaryFile() as upload:
        upload.write(file.glb())
        upload.flush()
        facts = read_in_child(upload, None, Settings(data_dir=Path("unused")))
    assert facts["textures"] == 2


def test_a_texture_that_unpacks_to_more_than_the_child_may_take_is_refused():
    data = textured_file(png_bomb(12_000)).glb()
    assert len(data) < 20 * MB
    with tempfile.TemporaryFile() as upload:
        upload.write(data)
        upload.flush()
        settings = Settings(data_dir=Path("unused"), mesh_memory_mb=700)
        with pytest.raises(MeshTooLarge, match=r"images\[0\] takes more memory") as caught:
            read_in_child(upload, None, settings)
    assert "textures" in caught.value.advice


def test_a_texture_of_zeros_is_a_picture():
    kept = judge_mesh(textured_file(png_bomb(40)).glb(), MeshLimits()).mesh.materials[0].texture
    assert Image.open(io.BytesIO(kept.data)).getpixel((39, 39)) == (0, 0, 0, 0)
