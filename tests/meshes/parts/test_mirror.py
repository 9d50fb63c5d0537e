from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.parts.mirror import Mirror, find_mirror, patch_images
from backend.meshes.parts.surface import Surface
from tests.meshes.parts.things import ball_at, grid, surface_of


def _creature(*extra) -> np.ndarray:
    """A body with a head to the front and a leg on either side of x = 0."""
    points = grid(40)
    balls = [
        ball_at(points, (0, 0, 0), 0.5),
        ball_at(points, (0, 0.3, 0.6), 0.3),
        *(ball_at(points, (x, -0.6, -0.2), 0.22) for x in (-0.4, 0.4)),
        *(ball_at(points, centre, radius) for centre, radius in extra),
    ]
    return np.minimum.reduce(balls)


def _surface(values: np.ndarray, turn: np.ndarray | None = None) -> Surface:
    mesh = surface_of(values)
    vertices = mesh.vertices.astype(np.float64) @ (np.eye(3) if turn is None else turn)
    vertices = (vertices - vertices.min(axis=0)) / np.ptp(vertices, axis=0).max()
    return Surface.of(vertices, mesh.faces.astype(np.int64))


def _mirror(surface: Surface, colors=None) -> Mirror | None:
    return find_mirror(surface.centres, surface.normals, surface.areas, colors)


def _turned(angle_rad: float) -> np.ndarray:
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    about_x = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    return about_x @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


@pytest.mark.parametrize("angle_rad", [0.0, 0.4])
def test_a_mirrored_body_has_a_plane_however_it_is_turned(angle_rad):
    surface = _surface(_creature(), _turned(angle_rad))
    mirror = _mirror(surface)
    assert mirror is not None
    assert (mirror.images >= 0).mean() > 0.97
    found = mirror.images >= 0
    opposite = mirror.sides[mirror.images[found]]
    assert np.abs(opposite + mirror.sides[found]).max() < 0.05
    true_sides = (surface_of(_creature()).vertices[surface.faces].mean(axis=1))[:, 0]
    assert abs(np.corrcoef(mirror.sides, true_sides)[0, 1]) > 0.999


def test_a_sword_in_one_hand_has_no_image_and_the_rest_has():
    surface = _surface(_creature(((0.66, -0.7, -0.2), 0.12)))
    mirror = _mirror(surface)
    assert mirror is not None
    assert 0.02 < (mirror.images < 0).mean() < 0.1


def test_a_lopsided_body_has_no_plane():
    lopsided = _creature(((-0.8, 0.5, 0.3), 0.4), ((0.5, 0.75, -0.5), 0.3))
    assert _mirror(_surface(lopsided)) is None


def test_colours_have_to_mirror_too():
    surface = _surface(_creature(((0, 0.7, 0), 0.3)))
    same, halves = np.zeros((2, len(surface.faces), 3))
    middle = (surface.centres[:, 0].min() + surface.centres[:, 0].max()) / 2
    halves[surface.centres[:, 0] > middle, 0] = 80
    assert _mirror(surface, same) is not None
    assert _mirror(surface, halves) is None


def test_nothing_has_no_plane():
    none = np.zeros((0, 3))
    assert find_mirror(none, none, np.zeros(0)) is None


def test_patches_stand_for_each_other_only_if_both_agree():
    patches = np.array([0, 0, 1, 1, 2, 3])
    images = np.array([2, 3, 0, 1, 4, 0])  # 0 and 1; 2 is its own; 3 thinks of 0
    mirror = Mirror(images, np.zeros(6))
    assert patch_images(patches, np.ones(6), mirror).tolist() == [1, 0, 2, -1]
