from __future__ import annotations

import numpy as np

from backend.meshes.parts.patches import crossing_costs, grow_patches
from backend.meshes.parts.surface import Surface
from tests.meshes.parts.things import dumbbell
from tests.meshes.solids import box, sphere, together


def _grown(mesh, count):
    surface = Surface.of(mesh.vertices.astype(np.float64), mesh.faces.astype(np.int64))
    costs = crossing_costs(surface, np.zeros(len(mesh.faces)))
    return surface, grow_patches(surface, costs, count)


def test_patches_are_connected_and_of_like_size():
    surface, patches = _grown(sphere(0.5, 4), 40)
    assert patches.max() + 1 == 41
    assert surface.pieces(patches).max() == patches.max()
    areas = np.bincount(patches, surface.areas)
    assert areas.max() < 4 * areas.mean()


def test_every_body_has_a_patch_of_its_own():
    mesh = together(box(), box(centre=(3, 0, 0)), sphere(0.4, 2).with_vertices(
        sphere(0.4, 2).vertices - 3))  # fmt: skip
    surface, patches = _grown(mesh, 5)
    bodies = surface.pieces(np.zeros(len(patches), dtype=np.int64))
    for body in range(3):
        others = set(patches[bodies != body])
        assert others.isdisjoint(patches[bodies == body])


def test_borders_follow_the_concave_neck():
    surface, patches = _grown(dumbbell(40), 20)
    ball = np.abs(surface.centres[:, 0]) > 0.31
    mixed = 0
    for patch in range(patches.max() + 1):
        inside = surface.areas[(patches == patch) & ball].sum()
        outside = surface.areas[(patches == patch) & ~ball].sum()
        mixed += min(inside, outside)
    assert mixed < 0.04 * surface.areas.sum()


def test_no_more_patches_than_faces():
    _, patches = _grown(box(), 99)
    assert sorted(set(patches.tolist())) == list(range(12))
