from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.errors import UnusableMesh
from backend.meshes.paintable_mesh import PaintableMesh
from backend.meshes.source_mesh import Material, SourceMesh
from backend.meshes.texturing.surface_layout import SurfaceLayout
from tests.meshes.shiny import painted
from tests.meshes.solids import sphere
from tests.meshes.source_shapes import textured_box


def with_extra_faces(mesh: SourceMesh) -> SourceMesh:
    """Put a face of one point first, and one along an edge into the middle."""
    faces = np.insert(mesh.faces, [0, 6], [[3, 3, 3], [0, 1, 1]], axis=0)
    return replace(mesh, faces=faces, face_materials=np.zeros(len(faces), dtype=np.int16))


def corners(mesh):
    return mesh.vertices[mesh.faces]


def test_vertices_of_seams_are_joined_and_the_unit_does_not_matter():
    box = textured_box()
    body = PaintableMesh.of(replace(box, vertices=box.vertices * np.float32(4e5) + np.float32(9e5)))
    assert len(body.mesh.vertices) == 8 < len(box.vertices)
    assert body.mesh.is_closed()
    np.testing.assert_allclose(body.mesh.vertices.min(axis=0), -0.5, atol=1e-6)
    np.testing.assert_allclose(body.mesh.vertices.max(axis=0), 0.5, atol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_what_comes_back_has_the_given_faces_in_their_order(scale):
    given = with_extra_faces(textured_box())
    given = replace(given, vertices=given.vertices * np.float32(scale))
    body = PaintableMesh.of(given)
    assert len(body.mesh.faces) == 12
    result = painted(body.mesh)
    made = body.restored(result)
    np.testing.assert_array_equal(corners(made), corners(given))
    kept = np.delete(np.arange(14), [0, 7])
    np.testing.assert_array_equal(made.uv[made.faces[kept]], result.uv[result.faces])
    flat = made.uv[made.faces[[0, 7]]]
    assert (flat == flat[:, :1]).all(), "nobody sees a face without an area"


def test_sharp_edges_that_the_file_holds_apart_stay_sharp():
    given = textured_box()
    body = PaintableMesh.of(given)
    made = body.restored(painted(body.mesh))
    found = corners(made).astype(float)
    normal = np.cross(found[:, 1] - found[:, 0], found[:, 2] - found[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    np.testing.assert_allclose(made.normals[made.faces], normal[:, None].repeat(3, 1), atol=1e-6)


def test_a_mesh_that_is_inside_out_is_shown_outwards_and_comes_back_as_it_was():
    ball = sphere(subdivisions=1)
    given = SourceMesh.plain(ball)
    given = replace(given, faces=np.ascontiguousarray(given.faces[:, ::-1]))
    body = PaintableMesh.of(given)
    assert body.is_turned
    assert body.mesh.volume() > 0
    made = body.restored(painted(body.mesh))
    np.testing.assert_array_equal(corners(made), corners(given))


def test_own_texture_coordinates_stay_vertex_by_vertex():
    given = with_extra_faces(textured_box())
    body = PaintableMesh.of(given)
    own = SurfaceLayout(np.arange(len(given.vertices)), 1 - given.uvs, given.faces)
    layout = body.layout(own)
    np.testing.assert_allclose(
        body.mesh.vertices[layout.sources[layout.faces]], corners(given)[body.kept], atol=1e-6
    )
    plain = painted(body.mesh)
    used = layout.sources
    result = replace(
        plain,
        vertices=body.mesh.vertices[used],
        normals=np.zeros((len(used), 3), dtype=np.float32),
        uv=layout.uv,
        faces=layout.faces,
    )
    made = body.restored(result)
    np.testing.assert_array_equal(made.uv[made.faces[body.kept]], own.uv[own.faces[body.kept]])


def test_two_sided_materials_stay_two_sided():
    box = textured_box()
    looks = (Material("leaf", is_double_sided=True), Material("lid"))
    for materials, expected in ((looks, True), (box.materials, False)):
        body = PaintableMesh.of(replace(box, materials=materials))
        assert body.restored(painted(body.mesh)).is_double_sided is expected


def test_nothing_to_colour_is_refused():
    flat = replace(textured_box(), faces=np.array([[0, 0, 1], [2, 2, 2]], dtype=np.int32))
    with pytest.raises(UnusableMesh, match="area"):
        PaintableMesh.of(flat)
    point = replace(textured_box(), vertices=np.zeros((24, 3), dtype=np.float32))
    with pytest.raises(UnusableMesh, match="one place"):
        PaintableMesh.of(point)


def test_an_engine_that_changed_the_faces_is_told():
    body = PaintableMesh.of(textured_box())
    with pytest.raises(ValueError, match="changed the faces"):
        body.restored(painted(sphere(subdivisions=1)))
