"""Whatever happens to a file on its way, it is read, or refused with a reason."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.errors import BadInput
from backend.meshes.reading.mesh_limits import MeshLimits
from backend.meshes.reading.read_mesh import judge_mesh
from tests.meshes.reading.files import (
    cube_file,
    obj_of_cube,
    picture,
    ply_of_cube,
    stl_of_cube,
    stl_text_of_cube,
    textured_file,
)

LIMITS = MeshLimits(faces=1000, components=100)
FILES = (
    cube_file().glb(), textured_file(picture()).glb(), cube_file().gltf(), obj_of_cube(),
    ply_of_cube(), ply_of_cube(">"), ply_of_cube(""), stl_of_cube(), stl_text_of_cube(),
)  # fmt: skip
HOSTILE = (b"\xff\xff\xff\xff", b"-1", b"99999999999", b"nan", b"{}", b"null", b"\0" * 8, b"1e999")
cuts = st.tuples(st.integers(0, 4000), st.integers(0, 4000))
flips = st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=6)
blows = st.lists(st.tuples(st.integers(0, 4000), st.sampled_from(HOSTILE)), max_size=3)


def check_words(error: BadInput) -> None:
    assert error.detail
    assert error.advice


def check(data: bytes) -> None:
    try:
        judged = judge_mesh(data, LIMITS)
    except BadInput as error:
        check_words(error)
        return
    mesh = judged.mesh
    assert 0 < len(mesh.faces) <= LIMITS.faces
    assert 0 < judged.components <= LIMITS.components
    assert np.isfinite(mesh.vertices).all()
    assert 0 <= mesh.faces.min() <= mesh.faces.max() < len(mesh.vertices)
    assert mesh.face_materials.max() < len(mesh.materials)
    assert (mesh.vertices.dtype, mesh.faces.dtype) == (np.float32, np.int32)
    for carried in (mesh.uvs, mesh.colors):
        assert carried is None or len(carried) == len(mesh.vertices)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(FILES), flips, blows)
def test_bytes_that_change(data, flips, blows):
    changed = bytearray(data)
    for at, value in flips:
        changed[at % len(data)] ^= value
    for at, text in blows:
        start = at % len(data)
        changed[start : start + len(text)] = text
    check(bytes(changed))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(FILES), cuts)
def test_bytes_that_are_missing(data, cut):
    start, length = cut[0] % len(data), cut[1]
    check(data[:start] + data[start + length :])


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([b"", b"glTF", b"ply\n", b"solid ", b"{", b"v 0 0 0\n"]), st.binary())
def test_bytes_that_mean_nothing(start, data):
    check(start + data)
