"""Cameras look from where they say."""

from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.texturing.cameras import STANDARD_VIEWS, OrthographicCamera
from backend.meshes.texturing.unit_frame import UnitFrame
from tests.meshes.texturing import golden_render as golden


def test_the_unit_frame_is_the_published_one():
    x, y, z = golden.unit_vertices().T
    published = golden.arrays()["norm.v"]
    assert np.abs(np.stack([-x, z, -y], axis=1) - published).max() < 1e-6


def test_the_unit_frame_goes_both_ways_and_stands_a_single_point():
    points = np.array([[1e-6, 5.0, 3.0], [2e-6, 9.0, -4.0]])
    frame = UnitFrame.of(points)
    assert np.allclose(frame.to_mesh(frame.to_unit(points)), points)
    assert np.linalg.norm(frame.to_unit(points), axis=1).max() == pytest.approx(0.575)
    assert np.isfinite(UnitFrame.of(points[:1]).to_unit(points[:1])).all()


@pytest.mark.parametrize(
    ("azimuth", "elevation", "towards", "right", "up"),
    [
        (0, 0, (0, 0, 1), (1, 0, 0), (0, 1, 0)),
        (90, 0, (1, 0, 0), (0, 0, -1), (0, 1, 0)),
        (0, 90, (0, 1, 0), (1, 0, 0), (0, 0, -1)),
        (180, -90, (0, -1, 0), (-1, 0, 0), (0, 0, -1)),
    ],
)
def test_axes(azimuth, elevation, towards, right, up):
    camera = OrthographicCamera(azimuth, elevation)
    assert np.allclose(camera.towards, towards)
    assert np.allclose(camera.right, right)
    assert np.allclose(camera.up, up)
    across, down, depth = camera.screen(np.array([0.3 * camera.right + 0.6 * camera.up])).T
    assert (across[0], down[0]) == pytest.approx((0.5, -1))
    assert depth[0] == pytest.approx(1.45)
    assert camera.screen(camera.towards[None])[0, 2] == pytest.approx(0.45)


def test_axes_stand_at_right_angles_everywhere():
    for azimuth, elevation in ((33, 20), (150, -20), (270, 90)):
        camera = OrthographicCamera(azimuth, elevation)
        axes = np.stack([camera.right, camera.up, camera.towards])
        assert np.allclose(axes @ axes.T, np.eye(3))
        assert np.linalg.det(axes) == pytest.approx(1)


def test_standard_views_cover_all_sides():
    towards = np.array([view.camera.towards for view in STANDARD_VIEWS])
    assert np.abs(towards.sum(axis=0)).max() < 1e-12
    assert [view.weight for view in STANDARD_VIEWS] == [1, 0.1, 0.5, 0.1, 0.05, 0.05]
