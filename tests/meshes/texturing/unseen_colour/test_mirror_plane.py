from __future__ import annotations

import numpy as np
import pytest
import trimesh

from backend.meshes.texturing.unseen_colour.mirror_plane import find_mirror_plane


def _places(solid, count=6000):
    points, _ = trimesh.sample.sample_surface_even(solid, count, seed=0)
    return np.asarray(points, dtype=np.float64), np.sqrt(solid.area / len(points))


def _turned(solid, azimuth_deg):
    turn = trimesh.transformations.rotation_matrix(np.radians(azimuth_deg), (0, 1, 0))
    return solid.apply_transform(turn)


def _mug():
    """Make a body that looks the same from all sides but for a handle at +X."""
    body = trimesh.creation.cylinder(radius=0.4, segment=[(0, 0, 0), (0, 0.9, 0)], sections=64)
    handle = trimesh.creation.box((0.3, 0.5, 0.1))
    handle.apply_translation((0.5, 0.45, 0))
    return trimesh.util.concatenate([body, handle])


@pytest.mark.parametrize("azimuth_deg", [0.0, 20.0, 67.0])
def test_the_plane_of_a_mug_goes_through_its_handle(azimuth_deg):
    points, spacing = _places(_turned(_mug(), azimuth_deg))
    plane = find_mirror_plane(points, spacing, [0.0], is_inflated=False)
    assert plane.is_accepted
    assert abs((plane.azimuth_deg - azimuth_deg + 90) % 180 - 90) < 2
    mirrored = plane.mirrored(points)
    assert plane.mirrored(mirrored) == pytest.approx(points)
    assert mirrored.max(axis=0) == pytest.approx(points.max(axis=0), abs=4 * spacing)


def test_a_lopsided_body_is_not_accepted():
    parts = [trimesh.creation.box((1, 1, 1))]
    for size, place in (((0.6, 0.3, 0.2), (0.7, 0.2, 0.3)), ((0.2, 0.9, 0.5), (-0.2, 0.8, -0.5))):
        part = trimesh.creation.box(size)
        part.apply_translation(place)
        parts.append(part)
    points, spacing = _places(trimesh.util.concatenate(parts))
    assert not find_mirror_plane(points, spacing, [0.0], is_inflated=False).is_accepted


def test_a_body_that_looks_alike_from_all_sides_tells_nothing():
    points, spacing = _places(trimesh.creation.icosphere(4))
    assert find_mirror_plane(points, spacing, [0.0], is_inflated=False) is None


@pytest.mark.parametrize("size", [(1.0, 1.5, 0.6), (1.0, 1.5, 1.0)])
def test_of_equal_planes_the_one_that_faces_the_picture_least_is_taken(size):
    points, spacing = _places(trimesh.creation.box(size))
    plane = find_mirror_plane(points, spacing, [0.0], is_inflated=False)
    assert plane.azimuth_deg == pytest.approx(90, abs=1)


def test_planes_that_fit_exactly_are_no_better_than_those_that_nearly_do():
    ball = trimesh.creation.icosphere(3, 0.2)
    pair = [ball.copy().apply_translation((side * 0.35, 0, 0)) for side in (-1, 1)]
    places = np.concatenate([one.vertices for one in pair])
    plane = find_mirror_plane(places, 0.02, [0.0], is_inflated=False)
    assert plane.azimuth_deg == pytest.approx(90, abs=1)


def test_planes_facing_the_picture_are_left_out_on_inflated_bodies():
    points, spacing = _places(_turned(_mug(), 10))
    free = find_mirror_plane(points, spacing, [0.0], is_inflated=False)
    bound = find_mirror_plane(points, spacing, [0.0], is_inflated=True)
    assert free.azimuth_deg == pytest.approx(10, abs=2)
    assert 60 <= bound.azimuth_deg <= 120
    assert not bound.is_accepted


def test_too_few_places_have_no_plane():
    assert find_mirror_plane(np.zeros((2, 3)), 0.1, [0.0], is_inflated=False) is None
    assert find_mirror_plane(np.zeros((9, 3)), 0.0, [0.0], is_inflated=False) is None
