from __future__ import annotations

import numpy as np

from backend.meshes.parts.hollows import find_hollows
from backend.meshes.parts.line_of_sight import draw_samples, line_of_sight
from backend.meshes.parts.rays import RayScene
from backend.meshes.parts.surface import Surface
from tests.meshes.parts.things import dumbbell, mug

OUTSIDE, INSIDE, HANDLE = 0, 1, 2


def _mug_patches(surface: Surface) -> np.ndarray:
    x, y, z = surface.centres.T
    away = np.hypot(x, z)
    is_inner = (away < 0.5) & (y > -0.6)
    return np.select([away > 0.62, is_inner], [HANDLE, INSIDE], OUTSIDE).astype(np.int64)


def _surface(mesh) -> Surface:
    return Surface.of(mesh.vertices.astype(np.float64), mesh.faces.astype(np.int64))


def test_the_inside_of_a_mug_is_a_hollow_and_the_handle_is_not():
    surface = _surface(mug(40))
    patches = _mug_patches(surface)
    samples = draw_samples(surface, patches, np.random.default_rng(0))
    hollows = find_hollows(surface, RayScene(surface), patches, samples)
    assert hollows.inner[INSIDE] > 0.5
    assert hollows.inner[OUTSIDE] < 0.1
    assert hollows.walls[OUTSIDE] > 0.3
    assert hollows.walls[HANDLE] < 0.1
    assert hollows.inner_sides[OUTSIDE].argmax() == INSIDE


def test_walls_see_one_another_through_the_hollow():
    surface = _surface(mug(40))
    patches = _mug_patches(surface)
    samples = draw_samples(surface, patches, np.random.default_rng(0))
    scene = RayScene(surface)
    hollows = find_hollows(surface, scene, patches, samples)
    sight = line_of_sight(surface, scene, samples)
    joined = hollows.joined(sight, line_of_sight(surface, scene, samples, outside=True))
    assert joined[INSIDE, OUTSIDE] > sight[INSIDE, OUTSIDE]
    assert joined[HANDLE, OUTSIDE] - sight[HANDLE, OUTSIDE] < 0.1
    assert (joined >= sight).all()


def test_a_dumbbell_has_no_hollow():
    surface = _surface(dumbbell(28))
    patches = np.digitize(surface.centres[:, 0], [-0.3, 0.3]).astype(np.int64)
    samples = draw_samples(surface, patches, np.random.default_rng(0))
    hollows = find_hollows(surface, RayScene(surface), patches, samples)
    assert hollows.inner.max() < 0.05
    assert hollows.walls.max() < 0.05
