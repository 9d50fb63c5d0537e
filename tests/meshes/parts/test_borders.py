from __future__ import annotations

import numpy as np

from backend.meshes.parts.borders import straighten_all_borders, straighten_borders
from backend.meshes.parts.part_tree import PartTree
from backend.meshes.parts.surface import Surface
from tests.meshes.solids import sphere


def _border_length(surface, parts):
    across = parts[surface.pairs[:, 0]] != parts[surface.pairs[:, 1]]
    return surface.lengths[across].sum()


def _ragged_ball():
    mesh = sphere(0.5, 4)
    surface = Surface.of(mesh.vertices.astype(np.float64), mesh.faces.astype(np.int64))
    noise = np.random.default_rng(0).normal(0, 0.012, len(surface.faces))
    quarter = (surface.centres[:, 1] > 0).astype(np.int64)
    half = (surface.centres[:, 0] + noise > 0).astype(np.int64)
    return surface, 2 * half + quarter, np.array([0, 0, 1, 1], dtype=np.int32)


def test_ragged_borders_become_shorter():
    surface, patches, patch_parts = _ragged_ball()
    straight = straighten_borders(surface, patches, patch_parts)
    best = _border_length(surface, surface.centres[:, 0] > 0)
    before = _border_length(surface, patch_parts[patches])
    after = _border_length(surface, patch_parts[straight])
    assert after - best < 0.35 * (before - best)


def test_faces_that_move_join_a_patch_of_the_part_they_come_to():
    surface, patches, patch_parts = _ragged_ball()
    straight = straighten_borders(surface, patches, patch_parts)
    moved = straight != patches
    assert 0 < moved.mean() < 0.1
    assert (patch_parts[straight[moved]] != patch_parts[patches[moved]]).all()
    above = surface.centres[:, 1] > 0.1
    assert (straight[above & moved] % 2 == 1).all()  # the upper patch of the other half


def test_one_part_has_no_borders():
    surface, patches, _ = _ragged_ball()
    assert np.array_equal(
        straighten_borders(surface, patches, np.zeros(4, dtype=np.int32)), patches
    )


def test_borders_above_the_suggested_count_are_straightened_too():
    surface, patches, patch_parts = _ragged_ball()
    merges = np.array([[0, 2], [1, 3], [4, 5]], dtype=np.int32)  # the ragged border goes first
    costs = np.array([0.1, 0.2, 0.3], dtype=np.float32)
    tree = PartTree(patches.astype(np.int32), 4, merges, costs, 2)
    assert tree.patch_parts(2).tolist() == [0, 1, 0, 1]
    straight = straighten_all_borders(surface, tree)
    best = _border_length(surface, surface.centres[:, 0] > 0)
    before = _border_length(surface, patch_parts[patches])
    after = _border_length(surface, patch_parts[straight])
    assert after - best < 0.35 * (before - best)
