from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.errors import JobCanceled
from backend.meshes.decimation.fewer_faces import DecimationMethod, with_fewer_faces
from backend.meshes.mending.mesh_figures import measure_mesh
from backend.meshes.source_mesh import Material, SourceMesh
from tests.meshes.globe import globe, without_faces
from tests.meshes.solids import sphere
from tests.meshes.source_shapes import textured_box, three_balls


def samples(mesh: SourceMesh, count: int = 4000):
    """Points spread over a mesh, with the texture coordinates they have there."""
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    points, faces = trimesh.sample.sample_surface(solid, count, seed=0)
    shares = trimesh.triangles.points_to_barycentric(solid.triangles[faces], points)
    return points, np.einsum("ij,ijk->ik", shares, mesh.uvs[mesh.faces[faces]])


def test_a_textured_globe_keeps_its_texture_in_place_and_stays_closed():
    found = with_fewer_faces(globe(48), 1000)
    figures = measure_mesh(found.mesh)
    assert found.method is DecimationMethod.SEAM_KEEPING
    assert 990 <= figures.faces <= 1000
    assert figures.is_watertight
    assert figures.volume_m3 == pytest.approx(4 / 3 * np.pi, rel=0.02)
    points, uvs = samples(found.mesh)
    distance = np.linalg.norm(points, axis=1)
    assert np.abs(distance - 1).max() < 0.03
    u = np.arctan2(-points[:, 2], points[:, 0]) / (2 * np.pi) % 1
    v = np.arccos(np.clip(points[:, 1] / distance, -1, 1)) / np.pi
    away = np.abs(uvs[:, 0] - u) * np.sin(np.pi * v)
    away = np.minimum(away, np.sin(np.pi * v) - away)
    assert max(away.max(), np.abs(uvs[:, 1] - v).max()) < 0.02


def test_borders_keep_their_course():
    bowl = globe(48)
    upper = bowl.vertices[bowl.faces][:, :, 1].mean(axis=1) > 0
    cut = without_faces(bowl, *np.flatnonzero(upper).tolist())
    found = with_fewer_faces(cut, 600).mesh
    assert len(found.faces) <= 600
    figures = measure_mesh(found)
    assert (figures.border_loops, figures.non_manifold_edges) == (1, 0)
    rim = found.vertices[found.vertices[:, 1] > -0.001]
    assert len(rim) > 10
    np.testing.assert_allclose(np.hypot(rim[:, 0], rim[:, 2]), 1, atol=0.01)


def test_a_plain_closed_mesh_is_simplified_with_new_vertices():
    mesh = replace(SourceMesh.plain(sphere(subdivisions=4)), materials=(Material("steel"),))
    found = with_fewer_faces(mesh, 500)
    assert found.method is DecimationMethod.QUADRIC
    assert len(found.mesh.faces) <= 500
    assert found.mesh.materials[0].name == "steel"
    assert measure_mesh(found.mesh).is_watertight


def test_what_is_small_enough_is_left_alone():
    mesh = textured_box()
    found = with_fewer_faces(mesh, 12)
    assert found.mesh is mesh
    assert found.method is DecimationMethod.NONE


def test_colours_and_materials_stay_where_they_were():
    ball = sphere(subdivisions=4)
    right = ball.vertices[:, 0] > 0
    colors = np.where(right[:, None], (255, 0, 0, 255), (0, 0, 255, 255)).astype(np.uint8)
    kinds = (ball.vertices[ball.faces].mean(axis=1)[:, 1] > 0).astype(np.int16)
    looks = (Material("lower"), Material("upper"))
    mesh = SourceMesh(ball.vertices, ball.faces, None, colors, looks, kinds)
    found = with_fewer_faces(mesh, 600).mesh
    assert len(found.faces) <= 600
    middles = found.vertices[found.faces].mean(axis=1)
    clear = np.abs(middles[:, 1]) > 0.05
    np.testing.assert_array_equal(found.face_materials[clear] == 1, middles[clear, 1] > 0)
    clear = np.abs(found.vertices[:, 0]) > 0.05
    np.testing.assert_array_equal(found.colors[clear, 0] == 255, found.vertices[clear, 0] > 0)
    assert measure_mesh(found).is_watertight


def test_less_than_the_surface_allows_is_not_made():
    found = with_fewer_faces(three_balls(1), 4).mesh
    figures = measure_mesh(found)
    assert 12 <= figures.faces < 60
    assert figures.is_watertight
    assert figures.bodies == 3


def test_it_tells_how_far_it_is_and_stops_when_asked():
    told = []

    def listen(faces):
        told.append(faces)
        if faces < 1000:
            raise JobCanceled

    with pytest.raises(JobCanceled):
        with_fewer_faces(globe(), 100, listen)
    assert told[0] == len(globe().faces)
    assert told == sorted(told, reverse=True)
    assert len(told) > 3


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(20, 400))
def test_no_torn_surface_is_torn_further(seed, target):
    rng = np.random.default_rng(seed)
    mesh = globe(12)
    mesh = replace(
        mesh,
        vertices=(mesh.vertices * rng.uniform(0.7, 1.4)).astype(np.float32),
        face_materials=rng.integers(0, 2, len(mesh.faces)).astype(np.int16),
        materials=(Material("a"), Material("b")),
    )
    holes = rng.choice(len(mesh.faces), 8, replace=False)
    torn = without_faces(mesh, *holes.tolist())
    before, after = measure_mesh(torn), measure_mesh(with_fewer_faces(torn, target).mesh)
    assert after.faces <= before.faces
    assert after.non_manifold_edges == 0
    assert after.flipped_edges == 0
    assert after.bodies == before.bodies
    assert after.border_loops == before.border_loops
    assert after.duplicate_faces == 0
