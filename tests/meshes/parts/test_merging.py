from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.parts.merging import BINS, PatchFacts, merge_patches


def _facts(
    borders, *, areas=None, sight=None, walls=None, thickness=None, images=None
) -> PatchFacts:
    count = 1 + max(max(pair) for pair in borders)
    areas = np.full(count, 1 / count) if areas is None else np.array(areas)
    histogram = np.zeros((count, BINS))
    histogram[np.arange(count), np.zeros(count, int) if thickness is None else thickness] = areas
    return PatchFacts(
        areas,
        histogram,
        np.ones((count, count)) if sight is None else sight,
        np.zeros(count) if walls is None else np.array(walls, dtype=np.float64),
        borders,
        np.full(count, -1) if images is None else np.array(images),
    )


def test_flat_borders_merge_before_concave_ones():
    merges = merge_patches(_facts({(0, 1): (1.0, 1.2), (1, 2): (1.0, 0.0), (2, 3): (1.0, 0.1)}))
    assert merges.nodes.tolist() == [[1, 2], [4, 3], [0, 5]]
    assert merges.costs[0] == 0
    assert merges.costs[2] > 0.8


def test_patches_that_cannot_see_each_other_stay_apart_longer():
    sight = np.ones((3, 3))
    sight[0, 1] = sight[1, 0] = 0.1
    merges = merge_patches(_facts({(0, 1): (1.0, 0.0), (1, 2): (1.0, 0.0)}, sight=sight))
    assert merges.nodes[0].tolist() == [1, 2]
    assert merges.costs[1] > 0.5


def test_unlike_thickness_costs():
    alike = merge_patches(_facts({(0, 1): (1.0, 0.0)}))
    unlike = merge_patches(_facts({(0, 1): (1.0, 0.0)}, thickness=[0, 9]))
    assert unlike.costs[0] > alike.costs[0] + 0.5


def test_walls_of_a_hollow_may_differ_in_thickness():
    unlike = merge_patches(_facts({(0, 1): (1.0, 0.0)}, thickness=[0, 9], walls=[1, 1]))
    assert unlike.costs[0] == pytest.approx(0, abs=1e-6)


def test_tiny_patches_merge_first():
    areas = [0.6, 0.399, 0.001]
    merges = merge_patches(_facts({(0, 1): (1.0, 0.3), (1, 2): (1.0, 1.5)}, areas=areas))
    assert merges.nodes[0].tolist() == [1, 2]


def test_what_does_not_touch_never_merges():
    merges = merge_patches(_facts({(0, 1): (1.0, 0.0), (2, 3): (1.0, 0.0)}))
    assert sorted(merges.nodes.tolist()) == [[0, 1], [2, 3]]


def test_merging_stops_before_the_first_high_cost():
    merges = merge_patches(_facts({(0, 1): (1.0, 1.2), (1, 2): (1.0, 0.0), (2, 3): (1.0, 0.1)}))
    assert merges.parts_below(0.5, 4) == 2
    assert merges.parts_below(9.0, 4) == 1


def test_the_mirrored_merge_follows_at_once_for_the_same_price():
    borders = {(0, 1): (1.0, 0.2), (1, 2): (1.0, 1.2), (2, 3): (1.0, 1.25), (3, 4): (1.0, 0.6)}
    borders |= {(0, 5): (1.0, 0.3)}
    alone = merge_patches(_facts(borders))
    assert alone.nodes[1].tolist() == [6, 5]
    merges = merge_patches(_facts(borders, images=[4, 3, 2, 1, 0, -1]))
    assert merges.nodes[:2].tolist() == [[0, 1], [4, 3]] or merges.nodes[1].tolist() == [3, 4]
    assert merges.costs[0] == merges.costs[1]


def test_both_sides_join_what_lies_in_the_plane():
    borders = {(0, 1): (1.0, 0.2), (1, 2): (1.0, 0.9), (0, 3): (1.0, 0.5)}
    merges = merge_patches(_facts(borders, images=[2, 1, 0, -1]))
    assert merges.nodes[:2].tolist() == [[0, 1], [4, 2]]
    assert merges.nodes[2].tolist() == [5, 3]


def test_images_that_do_not_touch_do_not_merge():
    borders = {(0, 1): (1.0, 0.2), (1, 4): (1.0, 0.9), (2, 4): (1.0, 0.8), (3, 4): (1.0, 0.7)}
    merges = merge_patches(_facts(borders, images=[2, 3, 0, 1, 4]))
    assert merges.nodes[0].tolist() == [0, 1]
    assert [2, 3] not in merges.nodes.tolist()
    assert len(merges.nodes) == 4


def test_patches_that_mirror_each_other_are_judged_alike():
    sight = np.ones((3, 3))
    sight[0, 1] = sight[1, 0] = 0.2
    facts = _facts({(0, 1): (1.0, 0.0), (1, 2): (1.0, 0.0)}, sight=sight, thickness=[2, 0, 4],
                   images=[2, 1, 0]).made_alike()  # fmt: skip
    assert facts.sight[0, 1] == facts.sight[2, 1] == pytest.approx(0.6)
    assert facts.thickness[0].tolist() == facts.thickness[2].tolist()
    assert facts.thickness[0].sum() == pytest.approx(facts.areas[0])
