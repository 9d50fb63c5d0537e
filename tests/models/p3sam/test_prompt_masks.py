from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.models.p3sam.config import P3SAM
from backend.models.p3sam.prompt_masks import (
    masks_of_point,
    packed,
    prompt_masks,
    working_bytes,
)
from tests.models.golden_files import part_tensors
from tests.models.p3sam.p3sam_golden import HEADS, heads

TOLERANCE = 1e-6
GIB = 2**30


@pytest.fixture(scope="module")
def prompts():
    return part_tensors(HEADS)["in.prompts"]


@pytest.fixture(scope="module")
def terms():
    given = part_tensors(HEADS)
    return heads().point_terms(given["in.feats"], given["in.points"])


@pytest.fixture(scope="module")
def published():
    """Masks (k, 3, n) and how well they fit (k, 3)."""
    given = part_tensors(HEADS)
    masks = torch.stack([given[f"out.mask{number}_prob_iter1"] for number in (1, 2, 3)], dim=1)
    return (masks > 0.5).numpy(), given["out.iou_iter1"].numpy()


@pytest.mark.parametrize(("chunk_points", "prompt_batch"), [(7, 2), (64, 3), (4096, 16)])
def test_the_mask_that_fits_best_is_kept(terms, prompts, published, chunk_points, prompt_batch):
    masks, iou = published
    found = prompt_masks(
        heads(), terms, prompts, chunk_points=chunk_points, prompt_batch=prompt_batch
    )
    best = iou.argmax(axis=1)
    assert np.array_equal(found.unpacked(), masks[np.arange(len(best)), best])
    assert np.abs(found.iou.numpy() - iou.max(axis=1)).max() < TOLERANCE


def test_a_single_point_shows_all_three_masks(terms, prompts, published):
    found = masks_of_point(heads(), terms, prompts[2:3], chunk_points=100)
    assert np.array_equal(found.unpacked(), published[0][2])
    assert np.abs(found.iou.numpy() - published[1][2]).max() < TOLERANCE


def test_batches_are_told_and_may_be_stopped(terms, prompts):
    told = []
    prompt_masks(heads(), terms, prompts, prompt_batch=3, tell=lambda *step: told.append(step))
    assert told == [(0, 7), (3, 7), (6, 7), (7, 7)]

    def stop(done, total):
        if done:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        prompt_masks(heads(), terms, prompts, prompt_batch=3, tell=stop)


@pytest.mark.parametrize("points", [1, 8, 13])
def test_bits_are_those_of_numpy(points):
    masks = np.random.default_rng(points).random((3, points)) > 0.5
    assert np.array_equal(packed(torch.from_numpy(masks)).numpy(), np.packbits(masks, axis=1))


def test_full_size_fits_into_four_gib():
    assert working_bytes(P3SAM.heads, 100_000, torch.float32) < 2 * GIB
    assert working_bytes(P3SAM.heads, 200_000, torch.float32) < 3.2 * GIB
