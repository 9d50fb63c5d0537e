from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.mask_parts.clean_surface import CleanSurface
from backend.meshes.mask_parts.region_map import RegionMap
from backend.meshes.mask_parts.tail_merging import with_tail_merged
from tests.meshes.mask_parts import plain_rules
from tests.meshes.solids import sphere


@pytest.fixture(scope="module")
def surface() -> CleanSurface:
    ball = sphere()
    return CleanSurface.of(ball.vertices, ball.faces)


def merged(surface: CleanSurface, labels: np.ndarray, threshold: float) -> np.ndarray:
    regions = RegionMap.of(surface, labels)
    return with_tail_merged(regions, threshold)[regions.of_faces]


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.95])
def test_regions_join_those_of_the_plain_rule(surface, threshold):
    rng = np.random.default_rng(0)
    halves = np.floor(3 * surface.corners.mean(axis=1)).astype(int) @ [1, 3, 9]
    labels = np.where(rng.random(len(surface)) < 0.2, rng.integers(0, 6, len(surface)), halves + 20)
    found = merged(surface, labels, threshold)
    expected = plain_rules.merge_tail(surface.table, surface.areas, labels, threshold)
    assert np.array_equal(found, expected)
    assert (found != labels).any()


def test_what_touches_only_a_region_that_joined_joins_with_it(surface):
    """A face at the pole, and those around it: the face touches nothing else."""
    heights = surface.corners[:, :, 1].mean(axis=1)
    pole = int(heights.argmax())
    labels = np.where(heights < -0.2, 3, 0)
    labels[surface.table[pole]] = 2
    labels[pole] = 1
    assert set(merged(surface, labels, 0.9).tolist()) == {0, 3}


def test_nothing_is_merged_if_everything_counts(surface):
    labels = np.arange(len(surface)) % 50
    assert np.array_equal(merged(surface, labels, 1.0), labels)


def test_shares_that_add_up_to_more_than_all_by_rounding_are_all_large():
    shares = np.append(np.full(8, 0.1245), 0.004)
    assert np.cumsum(shares)[-1] > 1
    chain = np.array([1, *(n for i in range(1, 8) for n in (i - 1, i + 1)), 7])
    starts = np.array([0, *range(1, 16, 2), 16])
    regions = RegionMap(np.arange(9), np.arange(9), shares, starts, chain)
    assert with_tail_merged(regions, 1.0).tolist() == [*range(9)]
    assert with_tail_merged(regions, 0.999).tolist() == [*range(8), 7]


def test_regions_of_a_hundredth_stay(surface):
    order = np.argsort(surface.corners[:, 0, 1])
    labels = np.zeros(len(surface), dtype=np.int64)
    labels[order[: len(order) // 50]] = 1
    assert np.array_equal(merged(surface, labels, 0.9), labels)
