from __future__ import annotations

import numpy as np
import pytest
import trimesh

from backend.meshes.closing.winding_field import spread_samples, winding_field

CELL = 1 / 20


def _field_of(solid: trimesh.Trimesh):
    points = np.asarray(solid.vertices, dtype=np.float64)
    return winding_field(spread_samples(points, np.asarray(solid.faces), CELL), CELL)


def _at(field, place) -> float:
    return float(field.values[tuple(np.rint((np.array(place) - field.low) / CELL).astype(int))])


def test_a_closed_surface_winds_once_around_what_is_inside():
    field = _field_of(trimesh.creation.box())
    assert _at(field, [0, 0, 0]) == pytest.approx(1, abs=0.01)
    assert _at(field, [0.35, 0.35, 0.35]) == pytest.approx(1, abs=0.02)
    assert _at(field, [0.65, 0, 0]) == pytest.approx(0, abs=0.02)


def test_an_open_surface_winds_by_its_share_of_the_sky():
    box = trimesh.creation.box()
    box.update_faces(box.triangles_center[:, 2] < 0.49)  # one of six sides is missing
    assert _at(_field_of(box), [0, 0, 0]) == pytest.approx(5 / 6, abs=0.02)


def test_a_surface_that_is_inside_out_winds_the_other_way():
    ball = trimesh.creation.icosphere(2, 0.5)
    ball.invert()
    assert _at(_field_of(ball), [0, 0, 0]) == pytest.approx(-1, abs=0.02)


def test_samples_share_the_area_of_their_face():
    ball = trimesh.creation.icosphere(1, 0.5)
    samples = spread_samples(np.asarray(ball.vertices), np.asarray(ball.faces), CELL)
    areas = np.bincount(samples.faces, np.linalg.norm(samples.areas, axis=1))
    assert areas == pytest.approx(ball.area_faces)
    distance = np.einsum(
        "ij,ij->i",
        samples.points - ball.triangles_center[samples.faces],
        ball.face_normals[samples.faces],
    )
    assert np.abs(distance).max() < 1e-12
