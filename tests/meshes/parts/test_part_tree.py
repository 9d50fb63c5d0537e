from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.parts.part_tree import PartTree


@pytest.fixture
def tree() -> PartTree:
    """Five patches: 1 and 3 merge, then 0 and 4, then both results; 2 stays alone."""
    return PartTree(
        face_patches=np.array([0, 0, 1, 2, 3, 4, 4], dtype=np.int32),
        patch_count=5,
        merges=np.array([[1, 3], [0, 4], [5, 6]], dtype=np.int32),
        costs=np.array([0.1, 0.4, 0.3], dtype=np.float32),
        suggested=3,
    )


@pytest.mark.parametrize(
    ("count", "parts"),
    [
        (5, [0, 1, 2, 3, 4]),
        (4, [0, 1, 2, 1, 3]),
        (3, [0, 1, 2, 1, 0]),
        (2, [0, 0, 1, 0, 0]),
    ],
)
def test_every_count_divides_the_patches(tree, count, parts):
    assert tree.patch_parts(count).tolist() == parts


def test_counts_beyond_the_list_give_its_ends(tree):
    assert tree.fewest == 2
    assert tree.patch_parts(0).tolist() == tree.patch_parts(2).tolist()
    assert tree.patch_parts(99).tolist() == [0, 1, 2, 3, 4]


def test_faces_follow_their_patches(tree):
    assert tree.face_parts(3).tolist() == [0, 0, 1, 2, 1, 0, 0]
    assert tree.face_parts(3).dtype == np.int32


def test_coarser_divisions_only_join(tree):
    for count in range(tree.fewest, tree.patch_count):
        fine, coarse = tree.patch_parts(count + 1), tree.patch_parts(count)
        for part in range(count + 1):
            assert len(set(coarse[fine == part])) == 1


def test_the_document_lets_a_page_divide_by_itself(tree):
    assert tree.to_document() == {
        "patch_count": 5,
        "merges": [[1, 3], [0, 4], [5, 6]],
        "costs": [0.1, 0.4, 0.3],
        "suggested": 3,
        "fewest": 2,
    }


def test_a_long_merge_list_takes_a_millisecond():
    count = 200
    chain = [[0, 1], *([count + i, i + 2] for i in range(count - 2))]
    tree = PartTree(
        np.arange(count, dtype=np.int32),
        count,
        np.array(chain, dtype=np.int32),
        np.linspace(0, 1, count - 1, dtype=np.float32),
        7,
    )
    assert tree.patch_parts(1).tolist() == [0] * count
    assert tree.patch_parts(3).tolist() == [0] * (count - 2) + [1, 2]


def test_added_bodies_never_merge_and_leave_the_rest_as_it_is(tree):
    more = tree.with_bodies(2)
    assert (more.patch_count, more.fewest, more.suggested) == (7, 4, 5)
    for count in (2, 3, 4, 5):
        assert more.patch_parts(count + 2)[:5].tolist() == tree.patch_parts(count).tolist()
    assert more.patch_parts(4).tolist() == [0, 0, 1, 0, 0, 2, 3]
