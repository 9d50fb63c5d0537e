from __future__ import annotations

import numpy as np

from backend.meshes.parts.mirror import find_mirror, patch_images
from backend.meshes.parts.patches import crossing_costs, grow_patches
from backend.meshes.parts.surface import Surface
from tests.meshes.parts.things import dumbbell
from tests.meshes.solids import box, sphere, together


def _grown(mesh, count, *, is_mirrored=False):
    surface = Surface.of(mesh.vertices.astype(np.float64), mesh.faces.astype(np.int64))
    costs = crossing_costs(surface, np.zeros(len(mesh.faces)))
    mirror = find_mirror(surface.centres, surface.normals, surface.areas)
    return surface, grow_patches(surface, costs, count, mirror if is_mirrored else None)


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


def test_patches_lie_alike_on_both_sides_of_a_mirror_plane():
    def share_alike(*, is_mirrored):
        surface, patches = _grown(dumbbell(40), 60, is_mirrored=is_mirrored)
        mirror = find_mirror(surface.centres, surface.normals, surface.areas)
        images = patch_images(patches, surface.areas, mirror)
        agrees = images[patches] == patches[mirror.images]
        return surface.areas[agrees].sum() / surface.areas.sum()

    assert share_alike(is_mirrored=True) > 0.9
    assert share_alike(is_mirrored=False) < 0.8


def test_no_body_goes_without_a_patch_on_either_side_of_a_mirror_plane():
    mesh = together(
        sphere(0.4, 2), box((0.2, 0.2, 0.2), (1, 0, 0)), box((0.2, 0.2, 0.2), (-1, 0, 0))
    )
    surface, patches = _grown(mesh, 8, is_mirrored=True)
    bodies = surface.pieces(np.zeros(len(patches), dtype=np.int64))
    assert all(len(np.unique(bodies[patches == patch])) == 1 for patch in range(patches.max() + 1))
