from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.parts.rays import RayScene, cone_directions, turned_to
from backend.meshes.parts.shape_diameter import normalised, shape_diameter
from backend.meshes.parts.surface import Surface
from tests.meshes.parts.things import dumbbell
from tests.meshes.solids import sphere


def _measured(mesh):
    surface = Surface.of(mesh.vertices.astype(np.float64), mesh.faces.astype(np.int64))
    return surface, shape_diameter(surface, RayScene(surface))


def test_a_ball_is_equally_thick_everywhere():
    _, diameter = _measured(sphere(0.5, 3))
    assert diameter.std() / diameter.mean() < 0.02
    assert 0.6 < diameter.mean() < 1.0  # slanted rays are shorter than the diameter


def test_a_handle_is_thinner_than_the_balls_it_joins():
    surface, diameter = _measured(dumbbell(32))
    handle = np.abs(surface.centres[:, 0]) < 0.15
    balls = np.abs(surface.centres[:, 0]) > 0.8
    assert np.median(diameter[handle]) < 0.6 * np.median(diameter[balls])


def test_a_sheet_has_no_thickness():
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=np.float64)
    surface = Surface.of(corners, np.array([[0, 1, 2], [0, 2, 3]]))
    assert shape_diameter(surface, RayScene(surface)).tolist() == [0, 0]


def test_normalised_spreads_thin_things():
    shares = normalised(np.linspace(1, 3, 1001))
    assert shares.min() == 0
    assert shares.max() == pytest.approx(1)
    assert shares[500] > 0.6
    assert normalised(np.full(10, 2.0)).tolist() == [0] * 10


def test_cones_keep_their_angle():
    directions, angles = cone_directions(25, np.radians(60))
    assert np.degrees(angles).max() < 60
    axes = np.array([[0, 1.0, 0], [1.0, 0, 0], [0.6, 0, -0.8]])
    turned = turned_to(axes, directions)
    assert np.linalg.norm(turned, axis=2) == pytest.approx(1)
    for axis, cone in zip(axes, turned, strict=True):
        assert np.arccos(cone @ axis) == pytest.approx(angles)
