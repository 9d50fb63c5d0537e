from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.models.p3sam import mask_selection
from backend.models.p3sam.mask_selection import select_masks
from backend.models.p3sam.prompt_masks import PromptMasks, packed
from tests.models.p3sam.p3sam_golden import SEGMENTATIONS, best_masks, segmentation

POINTS = np.random.default_rng(0).random((200, 3))


def masks_of(*masks, iou=None) -> PromptMasks:
    """Masks from sets of point numbers, best first."""
    flags = torch.zeros((len(masks), len(POINTS)), dtype=torch.bool)
    for row, mask in zip(flags, masks, strict=True):
        row[list(mask)] = True
    fits = torch.linspace(0.9, 0.1, len(masks)) if iou is None else torch.tensor(iou)
    return PromptMasks(packed(flags), len(POINTS), fits)


def one_by_one(masks: np.ndarray, iou: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The rule, pair by pair."""
    masks = masks[np.argsort(-iou, kind="stable")]
    clusters: dict[int, list[int]] = {}
    for i, mask in enumerate(masks):
        for head in clusters:
            union = (mask | masks[head]).sum()
            if union and (mask & masks[head]).sum() / union > 0.9:
                clusters[head].append(i)
                break
        else:
            clusters[i] = [i]
    heads = [head for head, members in clusters.items() if len(members) > 2]
    kept: list[int] = []
    for head in heads:
        if not any(box_iou(points[masks[head]], points[masks[a]]) > 0.5 for a in kept):
            kept.append(head)
    uncovered = ~masks[kept].any(axis=0)
    for i, mask in enumerate(masks):
        if i not in kept and mask.any() and (mask & uncovered).sum() / mask.sum() > 0.7:
            kept.append(i)
            uncovered &= ~mask
    labels = np.full(len(points), -1)
    for i in sorted(kept, key=lambda i: -masks[i].sum()):
        labels[masks[i]] = i
    return labels


def box_iou(one: np.ndarray, other: np.ndarray) -> float:
    low, high = np.maximum(one.min(0), other.min(0)), np.minimum(one.max(0), other.max(0))
    both = np.clip(high - low, 0, None).prod()
    return both / (np.ptp(one, axis=0).prod() + np.ptp(other, axis=0).prod() - both)


@pytest.mark.parametrize("name", SEGMENTATIONS)
def test_points_get_the_labels_of_the_plain_rule(name):
    masks = best_masks(name)
    points = segmentation(name)["in.points_normalised"].numpy()
    found = select_masks(masks, points)
    assert found.members_needed == 3
    assert found.notice == ""
    assert np.array_equal(found.labels, one_by_one(masks.unpacked(), masks.iou.numpy(), points))


def test_the_order_of_prompts_makes_no_difference():
    masks = best_masks("post")
    points = segmentation("post")["in.points_normalised"].numpy()
    order = torch.randperm(len(masks), generator=torch.Generator().manual_seed(0))
    shuffled = PromptMasks(masks.bits[order], masks.points, masks.iou[order])
    assert len(set(masks.iou.tolist())) == len(masks)
    found, other = select_masks(masks, points), select_masks(shuffled, points)
    assert np.array_equal(found.labels, other.labels)
    assert np.array_equal(order.numpy()[other.order], found.order)


def test_shared_points_are_counted_bit_by_bit_and_by_a_product(monkeypatch):
    monkeypatch.setattr("backend.models.p3sam.mask_selection.OVERLAP_CHUNK_BYTES", 16)
    masks = best_masks("holes")
    flags = masks.unpacked().astype(np.int64)
    assert np.array_equal(mask_selection.shared_points(masks.bits), flags @ flags.T)
    assert np.array_equal(mask_selection._products(masks.bits), flags @ flags.T)


def test_three_prompts_have_to_agree():
    left, right = range(100), range(100, 200)
    found = select_masks(masks_of(left, left, left, {*right, 0}, {*right, 1}), POINTS)
    assert found.kept.tolist() == [3, 0]  # the fourth joins as it covers what is left
    assert found.labels.tolist() == [0] * 100 + [3] * 100
    assert found.distinct.tolist() == [0, 3]


@pytest.mark.parametrize("copies", [1, 2])
def test_where_no_three_agree_masks_that_cover_something_new_are_parts(copies):
    left, right = range(100), range(100, 200)
    found = select_masks(masks_of(*[left] * copies, *[right] * copies), POINTS)
    assert found.members_needed == 1
    assert set(found.labels.tolist()) == {0, copies}
    assert "no part that three" in found.notice


def test_where_no_three_agree_the_plain_rule_holds_too():
    """Two that agree come no earlier than a better mask that one prompt points at."""
    rng = np.random.default_rng(3)
    masks = [set(np.flatnonzero(rng.random(200) < 0.3).tolist()) for _ in range(12)]
    given = masks_of(*masks, masks[-1], iou=[0.9] * 12 + [0.1])
    found = select_masks(given, POINTS)
    assert found.members_needed == 1
    expected = one_by_one(given.unpacked(), given.iou.numpy(), POINTS)
    assert len(set(expected.tolist())) > 2
    assert np.array_equal(found.labels, expected)


def test_blank_masks_are_no_parts_and_that_is_said():
    found = select_masks(masks_of((), (), (), ()), POINTS)
    assert found.members_needed == 0
    assert (found.labels == -1).all()
    assert len(found.kept) == len(found.distinct) == 0
    assert "no part at all" in found.notice


def test_of_masks_in_one_box_the_best_stays():
    inner = np.flatnonzero((np.abs(POINTS - 0.5) < 0.48).all(axis=1)).tolist()
    every = [*range(200)]
    found = select_masks(masks_of(inner, inner, inner, every, every, every), POINTS)
    assert found.kept.tolist() == [0]


def test_smaller_masks_lie_over_larger_ones():
    high = np.flatnonzero(POINTS[:, 0] > 0.8).tolist()
    every = [*range(200)]
    found = select_masks(masks_of(high, high, high, every, every, every), POINTS)
    assert set(found.labels[high].tolist()) == {0}
    assert set(np.delete(found.labels, high).tolist()) == {3}


def test_masks_of_other_points_are_refused():
    with pytest.raises(ValueError, match="200 points"):
        select_masks(masks_of((0,)), POINTS[:10])
