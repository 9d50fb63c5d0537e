from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.meshes.decimation.clustering import clustered
from backend.meshes.decimation.fewer_faces import DecimationMethod, with_fewer_faces
from backend.meshes.source_mesh import SourceMesh
from tests.meshes.globe import globe
from tests.meshes.solids import sphere


def shattered(mesh: SourceMesh, share: float) -> SourceMesh:
    """Move some faces a little, each with corners of its own, as broken exports have them."""
    rng = np.random.default_rng(0)
    corners = mesh.vertices[mesh.faces].copy()
    moved = rng.random(len(corners)) < share
    corners[moved] += rng.normal(size=(int(moved.sum()), 1, 3)).astype(np.float32) * 0.002
    faces = np.arange(3 * len(corners), dtype=np.int32).reshape(-1, 3)
    uvs = None if mesh.uvs is None else mesh.uvs[mesh.faces].reshape(-1, 2)
    return replace(mesh, vertices=corners.reshape(-1, 3), faces=faces, uvs=uvs)


def away_from_ball(mesh: SourceMesh, radius: float) -> float:
    """Greatest distance of a vertex from the surface, as a share of the radius."""
    return float(np.abs(np.linalg.norm(mesh.vertices, axis=1) / radius - 1).max())


@pytest.mark.parametrize("target", [600, 2000])
def test_a_mesh_in_pieces_reaches_the_number_and_keeps_its_shape(target):
    torn = shattered(SourceMesh.plain(sphere(subdivisions=5)), 0.5)
    told = []
    found = with_fewer_faces(torn, target, told.append)
    assert found.method is DecimationMethod.CLUSTERING
    assert 0.5 * target < len(found.mesh.faces) <= target
    assert away_from_ball(found.mesh, 0.5) < 0.1
    assert len(told) < 60


def test_the_texture_stays_in_its_place_and_off_the_seam():
    found = clustered(globe(48), 1000)
    assert 500 < len(found.faces) <= 1000
    assert away_from_ball(found, 1.0) < 0.05
    u = np.arctan2(-found.vertices[:, 2], found.vertices[:, 0]) / (2 * np.pi) % 1
    below_poles = np.hypot(found.vertices[:, 0], found.vertices[:, 2]) > 0.3
    v = np.arccos(np.clip(found.vertices[:, 1], -1, 1)) / np.pi
    away = np.abs(found.uvs[:, 0] - u)
    away = np.minimum(away, 1 - away)[below_poles]
    assert max(away.max(), np.abs(found.uvs[:, 1] - v).max()) < 0.05
    widths = np.ptp(found.uvs[found.faces][:, :, 0], axis=1)
    assert widths[below_poles[found.faces].all(axis=1)].max() < 0.3


def test_colours_are_the_mean_of_what_was_joined():
    ball = sphere(subdivisions=4)
    colors = np.where(ball.vertices[:, :1] > 0, (200, 0, 0, 255), (0, 0, 200, 255))
    mesh = replace(SourceMesh.plain(ball), colors=colors.astype(np.uint8))
    found = clustered(mesh, 600)
    clear = np.abs(found.vertices[:, 0]) > 0.2
    np.testing.assert_array_equal(found.colors[clear, 0] == 200, found.vertices[clear, 0] > 0)
    assert (found.colors[:, 3] == 255).all()


def test_too_few_faces_to_show_the_shape_are_not_forced():
    torn = shattered(SourceMesh.plain(sphere(subdivisions=3)), 0.5)
    assert with_fewer_faces(torn, 10).method is DecimationMethod.SEAM_KEEPING
