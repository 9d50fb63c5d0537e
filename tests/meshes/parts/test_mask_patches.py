from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.parts.mask_patches import mask_patches, nearest_samples, signatures


def strip(count):
    """Faces in a row, each as large as the next."""
    faces = np.arange(count)
    return np.stack([faces[:-1], faces[1:]], axis=1), np.ones(count)


def patches_of(parts, marks, pairs=None, areas=None):
    row, ones = strip(len(parts))
    return mask_patches(
        np.array(parts, dtype=np.int32),
        np.array(marks, dtype=np.int64),
        row if pairs is None else pairs,
        ones if areas is None else np.array(areas, dtype=float),
    )


def test_parts_are_cut_where_masks_end_and_where_they_hang_together_no_more():
    found = patches_of([0, 0, 0, 1, 1, 0, 0], [7, 7, 2, 2, 2, 7, 7])
    assert found.tolist() == [0, 0, 1, 3, 3, 2, 2]


def test_patches_are_numbered_by_part():
    found = patches_of([2, 2, 0, 0, 1, 1], [0, 1, 0, 1, 0, 1])
    assert found.tolist() == [4, 5, 0, 1, 2, 3]


def test_a_tiny_piece_joins_the_neighbour_of_its_part_with_the_longest_border():
    pairs = np.array([[0, 1], [1, 2], [1, 3], [2, 3], [1, 4]])
    areas = [1000, 0.1, 500, 500, 3000]
    found = patches_of([0, 0, 0, 0, 1], [0, 1, 2, 2, 3], pairs, areas)
    assert found[1] == found[2] == found[3] != found[0]


def test_crumbs_join_one_after_the_other():
    areas = [1000, 0.1, 0.1, 0.1, 1000]
    found = patches_of([0] * 5, [0, 1, 2, 3, 0], areas=areas)
    assert len(set(found.tolist())) <= 2
    assert found[0] in found[1:4]


def test_a_crumb_that_touches_nothing_of_its_part_joins_the_largest_of_it():
    areas = [2000, 0.1, 3000, 1000]
    found = patches_of([0, 1, 0, 1], [0, 0, 1, 0], areas=areas)
    assert found[1] == found[3]
    assert len(set(found.tolist())) == 3


def test_a_small_part_stays_a_part():
    found = patches_of([0, 1, 2], [0, 0, 0], areas=[1000, 0.001, 1000])
    assert sorted(found.tolist()) == [0, 1, 2]


def test_there_are_no_more_patches_than_shares_of_the_area():
    """Every face in another mask."""
    rng = np.random.default_rng(1)
    count = 30_000
    found = patches_of(rng.integers(0, 3, count // 100).repeat(100), np.arange(count))
    assert 3 < found.max() + 1 < 1010
    assert np.bincount(found).min() >= 15


def test_points_have_the_same_signature_in_the_same_masks():
    masks = np.random.default_rng(2).integers(0, 2, (11, 200)).astype(bool)
    found = signatures(masks)
    for point in range(20):
        alike = (masks == masks[:, point : point + 1]).all(axis=0)
        assert ((found == found[point]) == alike).all()
    assert signatures(np.zeros((0, 5), dtype=bool)).tolist() == [0] * 5


@pytest.mark.parametrize("scale", [1e-6, 1, 1e6])
def test_a_sample_of_the_same_part_is_taken_though_another_is_nearer(scale):
    centres = scale * np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]])
    samples = scale * np.array([[0.1, 0, 0], [0.4, 0, 0], [1.9, 0, 0]])
    parts = np.array([0, 1, 0], dtype=np.int32)
    found = nearest_samples(centres, parts, samples, np.array([0, 1, 2]))
    assert found.tolist() == [0, 1, 2]
    other = nearest_samples(centres, parts, samples, np.array([0, 0, 2]))
    assert other.tolist() == [0, 1, 2]  # a part without samples gets the nearest of all
