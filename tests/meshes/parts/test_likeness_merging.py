from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.parts.likeness_merging import (
    likeness_tree,
    summed_descriptions,
    touching_patches,
)

# Six patches in a row, one face each; parts 0, 1 and 2 have two of them.
ROW = np.arange(6, dtype=np.int32)
IN_A_ROW = np.stack([ROW[:-1], ROW[1:]], axis=1)
PARTS = np.array([0, 0, 1, 1, 2, 2])


def directions(*degrees):
    angles = np.deg2rad(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_parts_come_out_where_the_tree_suggests_whatever_their_patches_are_like():
    """Patches of a part are less alike here than neighbours across parts."""
    tree = likeness_tree(ROW, PARTS, IN_A_ROW, directions(0, 60, 61, 120, 121, 180))
    assert (tree.patch_count, tree.suggested, tree.fewest) == (6, 3, 1)
    assert tree.face_parts(tree.suggested).tolist() == PARTS.tolist()


def test_the_most_alike_neighbours_merge_first():
    tree = likeness_tree(ROW, ROW, IN_A_ROW, directions(0, 50, 60, 150, 180, 181))
    assert tree.suggested == 6
    assert tree.face_parts(5).tolist() == [0, 1, 2, 3, 4, 4]
    assert tree.face_parts(4).tolist() == [0, 1, 1, 2, 3, 3]
    assert tree.face_parts(3).tolist() == [0, 1, 1, 2, 2, 2]


def test_a_merged_patch_is_like_the_larger_of_its_patches():
    small_last = directions(0, 40, 100) * np.array([[1.0], [50.0], [1.0]])
    tree = likeness_tree(ROW[:3], ROW[:3], IN_A_ROW[:2], small_last)
    expected = 1 - np.cos(np.deg2rad([40, 100 - 40]))
    assert tree.costs[0] == pytest.approx(expected[0], rel=1e-5)
    assert tree.costs[1] == pytest.approx(expected[1], rel=0.05)


@pytest.mark.parametrize("seed", range(8))
def test_each_merge_is_of_the_two_most_alike_that_touch(seed):
    """As found by looking at all of them before every merge."""
    rng = np.random.default_rng(seed)
    count = 14
    pairs = rng.integers(0, count, (30, 2))
    sums = dict(enumerate(rng.normal(size=(count, 3)) + 0.5))
    touching = {frozenset(pair) for pair in pairs.tolist() if pair[0] != pair[1]}
    expected = []
    while touching:
        best = min(touching, key=lambda pair: unlike(*(sums[each] for each in pair)))
        expected.append(best)
        new = count + len(expected) - 1
        sums[new] = sum(sums[each] for each in best)
        moved = {frozenset(new if each in best else each for each in pair) for pair in touching}
        touching = {pair for pair in moved if len(pair) == 2}
    described = np.array([sums[each] for each in range(count)])
    faces = np.arange(count, dtype=np.int32)
    tree = likeness_tree(faces, faces, pairs, described)
    assert [frozenset(pair) for pair in tree.merges.tolist()] == expected


def unlike(first, second):
    return 1 - first @ second / (np.linalg.norm(first) * np.linalg.norm(second))


def test_costs_never_fall_and_those_within_parts_are_the_lowest():
    rng = np.random.default_rng(3)
    tree = likeness_tree(ROW, PARTS, IN_A_ROW, rng.normal(size=(6, 8)))
    assert (np.diff(tree.costs) >= 0).all()
    assert len(tree.costs) == 5


def test_pieces_of_one_part_merge_though_they_do_not_touch_but_parts_never_do():
    apart = np.array([[0, 1], [2, 3]])
    parts = np.array([0, 1, 0, 2, 2, 0])
    tree = likeness_tree(ROW, parts, apart, directions(0, 10, 20, 30, 40, 50))
    assert tree.suggested == 3
    found = tree.face_parts(3)
    assert {tuple(np.flatnonzero(found == part)) for part in range(3)} == {(0, 2, 5), (1,), (3, 4)}
    alone = likeness_tree(ROW, ROW, np.zeros((0, 2), dtype=np.int64), directions(*range(6)))
    assert alone.fewest == alone.suggested == 6


def test_a_patch_that_nothing_is_known_of_merges_before_all_others():
    described = directions(0, 30, 60, 90, 120, 150)
    described[3] = 0
    tree = likeness_tree(ROW, ROW, IN_A_ROW, described)
    assert 3 in tree.merges[0]
    assert tree.costs[0] == 0


def test_more_parts_than_there_may_be_are_merged_in_the_suggestion():
    count = 1200
    faces = np.arange(count, dtype=np.int32)
    pairs = np.stack([faces[:-1], faces[1:]], axis=1)
    tree = likeness_tree(faces, faces, pairs, np.ones((count, 2)))
    assert tree.suggested == 1000


def test_touching_patches_are_told_once():
    pairs = np.array([[0, 1], [1, 0], [1, 2], [2, 3]])
    assert touching_patches(np.array([4, 4, 1, 0]), pairs).tolist() == [[0, 1], [1, 4]]


def test_features_add_up_by_patch():
    features = np.array([[1, 0], [0, 1], [5, 5]], dtype=np.float32)
    sums = summed_descriptions(np.array([0, 0, 2, 2]), np.array([0, 0, 1, 2]), features, 4)
    assert sums.tolist() == [[2, 0], [0, 0], [5, 6], [0, 0]]
