"""Texture coordinates are kept where one texture can lie on them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.meshes.source_mesh import Material, SourceMesh
from backend.meshes.texturing.charts.layout_quality import layout_quality
from backend.meshes.texturing.surface_layout import SurfaceLayout
from backend.meshes.texturing.usable_layout import UnusableUvs, UvProblem, usable_layout


def squares(*uv_boxes: tuple[float, float, float, float]) -> SourceMesh:
    """Unit squares side by side, each with a box (left, top, right, bottom) of the texture."""
    vertices, uvs, faces = [], [], []
    for number, (left, top, right, bottom) in enumerate(uv_boxes):
        x = 2.0 * number
        vertices += [[x, 0, 0], [x + 1, 0, 0], [x + 1, 1, 0], [x, 1, 0]]
        uvs += [[left, bottom], [right, bottom], [right, top], [left, top]]
        first = 4 * number
        faces += [[first, first + 1, first + 2], [first, first + 2, first + 3]]
    return SourceMesh(
        np.array(vertices, dtype=np.float32),
        np.array(faces, dtype=np.int32),
        np.array(uvs, dtype=np.float32),
        None,
        (Material(),),
        np.zeros(len(faces), dtype=np.int16),
    )


HALVES = ((0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0))


def problem(mesh: SourceMesh) -> UnusableUvs:
    found = usable_layout(mesh)
    assert isinstance(found, UnusableUvs)
    assert found.sentence.endswith(".")
    return found


def kept(mesh: SourceMesh) -> SurfaceLayout:
    found = usable_layout(mesh)
    assert isinstance(found, SurfaceLayout)
    return found


def test_good_coordinates_are_kept_with_the_origin_at_the_bottom():
    mesh = squares(*HALVES)
    layout = kept(mesh)

    assert np.array_equal(layout.sources[layout.faces], mesh.faces)
    assert mesh.uvs is not None
    expected = mesh.uvs[layout.sources] * [1, -1] + [0, 1]
    assert np.array_equal(layout.uv, expected.astype(np.float32))
    assert layout_quality(mesh.vertices, layout).mirrored == 0


def test_unused_vertices_are_left_out():
    mesh = squares(*HALVES)
    layout = kept(mesh.selected(np.array([True, True, False, False])))
    assert len(layout.uv) == 4

    padded = replace(mesh, faces=mesh.faces[2:], face_materials=mesh.face_materials[2:])
    layout = kept(padded)
    assert np.array_equal(layout.sources, [4, 5, 6, 7])
    assert np.array_equal(layout.sources[layout.faces], padded.faces)


def test_mirrored_faces_with_a_place_of_their_own_are_kept():
    mesh = squares((0.0, 0.0, 0.5, 1.0), (1.0, 0.0, 0.5, 1.0))

    assert layout_quality(mesh.vertices, kept(mesh)).mirrored == 2


def test_all_in_another_square_of_the_tiling_is_moved_into_the_first():
    mesh = squares((3.0, -1.0, 3.5, 0.0), (3.5, -1.0, 4.0, 0.0))

    assert np.allclose(kept(mesh).uv, kept(squares(*HALVES)).uv)


def test_rounding_outside_is_brought_in():
    layout = kept(squares((-0.0005, 0.0, 0.5, 1.0005), (0.5, 0.0, 1.0005, 1.0)))

    assert layout.uv.min() >= 0
    assert layout.uv.max() <= 1


def test_a_mesh_without_any_has_none():
    assert problem(replace(squares(*HALVES), uvs=None)).reason is UvProblem.NONE


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_refused(value):
    mesh = squares(*HALVES)
    assert mesh.uvs is not None
    mesh.uvs[3, 1] = value

    assert problem(mesh).reason is UvProblem.NOT_FINITE


def test_a_repeated_texture_is_refused():
    assert problem(squares((0.0, 0.0, 3.0, 1.0))).reason is UvProblem.OUTSIDE


def test_mirrored_halves_in_one_place_are_refused():
    found = problem(squares((0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 0.0, 1.0)))

    assert found.reason is UvProblem.OVERLAPPING
    assert found.share == pytest.approx(1)


def test_half_an_overlap_is_measured():
    found = problem(squares((0.0, 0.0, 0.5, 0.5), (0.25, 0.0, 0.75, 0.5)))

    assert found.share == pytest.approx(1 / 3, abs=0.01)
    assert "33 %" in found.sentence


def test_many_faces_that_each_use_the_whole_texture_are_refused():
    found = problem(squares(*[(0.0, 0.0, 1.0, 1.0)] * 500))

    assert found.reason is UvProblem.OVERLAPPING


def test_a_surface_without_a_place_is_refused():
    found = problem(squares(*HALVES, (0.3, 0.3, 0.3, 0.3)))

    assert found.reason is UvProblem.WITHOUT_ROOM
    assert found.share == pytest.approx(1 / 3)


def test_materials_with_a_texture_each_are_told_from_other_overlaps():
    mesh = squares((0.0, 0.0, 1.0, 0.5), (0.0, 0.0, 1.0, 0.5))
    two = replace(
        mesh,
        materials=(Material("one"), Material("two")),
        face_materials=np.array([0, 0, 1, 1], dtype=np.int16),
    )

    assert problem(two).reason is UvProblem.SHARED_BY_MATERIALS


def test_materials_that_share_one_texture_are_kept():
    mesh = replace(
        squares(*HALVES),
        materials=(Material("one"), Material("two")),
        face_materials=np.array([0, 0, 1, 1], dtype=np.int16),
    )

    assert len(kept(mesh).faces) == 4


def test_hardly_any_of_the_texture_is_refused():
    found = problem(squares((0.5, 0.5, 0.53, 0.53), (0.6, 0.5, 0.63, 0.53)))

    assert found.reason is UvProblem.TOO_SMALL
