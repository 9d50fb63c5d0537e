from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.mask_parts.absorption import all_labelled
from backend.meshes.mask_parts.clean_surface import CleanSurface
from backend.meshes.mask_parts.region_map import RegionMap
from tests.meshes.mask_parts import plain_rules
from tests.meshes.solids import sphere, together


@pytest.fixture(scope="module")
def surface() -> CleanSurface:
    """A ball, and specks around it that are less than a thousandth of the area each."""
    rng = np.random.default_rng(0)
    specks = [sphere(0.005, 0) for _ in range(40)]
    moved = [
        speck.with_vertices(speck.vertices + 2 * rng.random(3) - np.float32(0.9))
        for speck in specks
    ]
    mesh = together(sphere(), *moved)
    return CleanSurface.of(mesh.vertices.astype(np.float64) + np.array([3, 2, 1]), mesh.faces)


def labelled(surface: CleanSurface, labels: np.ndarray) -> np.ndarray:
    regions = all_labelled(surface, RegionMap.of(surface, labels))
    return regions.labels[regions.of_faces]


@pytest.mark.parametrize("seed", range(3))
def test_regions_join_what_the_plain_rule_says(surface, seed):
    rng = np.random.default_rng(seed)
    cells = np.floor(4 * surface.corners.mean(axis=1)).astype(int) @ [1, 3, 5] % 5
    labels = np.where(rng.random(len(surface)) < 0.1, -1 - rng.integers(0, 2, len(surface)), cells)
    labels[-800:] = np.repeat(rng.integers(-3, 5, 40), 20).clip(-1)
    expected = plain_rules.absorb(surface.table, surface.areas, surface.corners, labels)
    regions = RegionMap.of(surface, labels)
    small = (regions.labels < 0) & (regions.shares <= 0.001)
    touching = np.diff(regions.starts) > 0
    assert (small & touching).any()
    assert (small & ~touching).any()
    assert np.array_equal(labelled(surface, labels), expected)


def test_many_boxes_are_looked_at_before_one_is_chosen(surface, monkeypatch):
    """With fewer looked at first than there are, in chunks of a few."""
    labels = np.append(np.full(len(surface) - 800, 9), np.repeat(np.arange(40) % 3 - 1, 20))
    expected = plain_rules.absorb(surface.table, surface.areas, surface.corners, labels)
    for name, value in (("FIRST_LOOKED_AT", 1), ("LOOKED_AT_GROWTH", 2), ("MOST_PAIRS", 7)):
        monkeypatch.setattr(f"backend.meshes.mask_parts.absorption.{name}", value)
    assert np.array_equal(labelled(surface, labels), expected)


def test_regions_of_some_size_become_parts(surface):
    labels = np.full(len(surface), -1)
    labels[: len(labels) - 800] = np.where(surface.corners[:-800, 0, 0] > 3.1, 6, -2)
    found = labelled(surface, labels)
    assert set(found.tolist()) == {6, 7}
    assert ((found == 7) >= (labels == -2)).all()
