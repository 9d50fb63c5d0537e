from __future__ import annotations

import numpy as np

from backend.meshes.parts.part_tree import PartTree
from backend.meshes.parts.transfer import transferred
from backend.meshes.parts.welding import weld
from tests.meshes.parts.things import triangles

SQUARES = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 0, 0], [2, 1, 0]]


def _tree(labels, merges, suggested):
    count = 4
    costs = np.linspace(0.1, 0.9, len(merges)).astype(np.float32)
    return PartTree(
        np.array(labels, dtype=np.int32), count, np.array(merges, dtype=np.int32), costs, suggested
    )


def test_patches_without_faces_leave_the_tree_and_the_parts_stay_the_same():
    mesh = triangles(SQUARES, [[0, 1, 2], [0, 2, 3], [1, 4, 5], [1, 5, 2]])
    tree = _tree([0, 1, 2, 3], [[0, 1], [2, 3], [4, 5]], suggested=2)
    welded = weld(mesh.vertices, mesh.faces)
    whole = transferred(tree, mesh, welded, np.array([0, 0, 2, 3]))
    assert whole.patch_count == 3
    assert whole.merges.tolist() == [[1, 2], [0, 3]]
    assert whole.suggested == 2
    assert whole.face_parts(2).tolist() == [0, 0, 1, 1]
    assert whole.fewest == 1


def test_faces_without_area_go_with_their_neighbours():
    mesh = triangles(SQUARES, [[0, 1, 2], [0, 1, 1], [1, 4, 5], [5, 5, 4]])
    tree = _tree([0, 1], [[0, 1]], suggested=2)
    welded = weld(mesh.vertices, mesh.faces)
    whole = transferred(tree, mesh, welded, np.array([0, 1]))
    assert whole.face_patches.tolist() == [0, 0, 1, 1]
