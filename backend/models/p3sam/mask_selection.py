"""From many overlapping masks to one label per point. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.models.p3sam.prompt_masks import BITS, PromptMasks

SAME_MASK_IOU = 0.9
AGREEING_PROMPTS = 3
DISTINCT_PROMPTS = 2
SAME_BOX_IOU = 0.5
NEW_SHARE = 0.7
WORD_BYTES = 8
OVERLAP_CHUNK_BYTES = 4096
"""Bytes per mask that are unpacked at a time to count what masks share."""

NOTICES = {
    AGREEING_PROMPTS: "",
    1: (
        "The network found no part that three of its prompts agree on; parts that a single one "
        "points at were taken."
    ),
    0: "The network found no part at all; pieces of the surface that touch are one part each.",
}


@dataclass(frozen=True)
class SelectedMasks:
    """Which masks became parts, and which of them each point belongs to.

    Parameters
    ----------
    labels : (n,) int64
        The rank of each point's mask, 0 for the one expected to fit best; -1 for points in none.
    kept : (p,) int64
        Ranks of the masks that were kept, the largest mask first.
    order : (k,) int64
        The prompt of each rank.
    distinct : (d,) int64
        Ranks of masks that differ and that two prompts at least agree on, best first; those that
        were kept are among them, wherever they come from.
    members_needed : int
        How many prompts had to agree on a mask: 3, or 1 if on none so many did; 0 if all masks
        are blank.
    """

    labels: NDArray[np.int64]
    kept: NDArray[np.int64]
    order: NDArray[np.int64]
    distinct: NDArray[np.int64]
    members_needed: int

    @property
    def notice(self) -> str:
        """What people should know of it; blank if all went as it should."""
        return NOTICES[self.members_needed]


def select_masks(masks: PromptMasks, points: NDArray[np.floating]) -> SelectedMasks:
    """Choose the masks that become parts, and paint points with them.

    Masks that are nearly the same form a cluster; of clusters of three and more the mask that is
    expected to fit best is kept. Of kept masks whose boxes overlap one stays. Then masks join
    that cover mostly points which no kept mask does: all parts come from these where no three
    prompts agree. Smaller masks are painted over larger ones.

    Parameters
    ----------
    masks : PromptMasks
        On any device; what masks share is counted there.
    points : (n, 3) float

    Raises
    ------
    ValueError
        Points and masks do not fit together.

    Source
    ------
    P3-SAM: Native 3D Part Segmentation (2025), its automatic segmentation.
    """
    if len(points) != masks.points:
        raise ValueError(f"masks over {masks.points} points, but there are {len(points)}")
    order = torch.sort(masks.iou, descending=True, stable=True).indices
    ranked = masks.bits[order]
    shared = shared_points(ranked)
    bits = ranked.cpu().numpy()
    owners = _clusters(shared)
    agreed = _without_same_boxes(_leaders(owners, shared, AGREEING_PROMPTS), bits, points)
    kept = np.concatenate([agreed, _newly_covering(agreed, bits, masks.points)])
    sizes = np.diagonal(shared)[kept]
    kept = kept[np.argsort(-sizes, kind="stable")]
    labels = np.full(masks.points, -1, dtype=np.int64)
    for rank in kept:
        labels[_inside(bits[rank], masks.points)] = rank
    distinct = np.union1d(kept, _leaders(owners, shared, DISTINCT_PROMPTS))
    needed = AGREEING_PROMPTS if len(agreed) else min(len(kept), 1)
    return SelectedMasks(labels, kept, order.cpu().numpy(), distinct, needed)


def shared_points(bits: Tensor) -> NDArray[np.int64]:
    """Count the points that each mask shares with each, (k, k) int64.

    Parameters
    ----------
    bits : Tensor, shape (k, ceil(n / 8)) uint8
        On any device; below 2^24 points.
    """
    counts = _counted_bits(bits.numpy()) if bits.device.type == "cpu" else _products(bits)
    return np.asarray(counts)


def _counted_bits(bits: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count row by row, 64 points at a time: what a processor does three times as fast."""
    words = np.pad(bits, ((0, 0), (0, -bits.shape[1] % WORD_BYTES))).view(np.uint64)
    counts = np.zeros((len(bits), len(bits)), dtype=np.int64)
    for row, mask in enumerate(words):
        counts[row, row:] = np.bitwise_count(words[row:] & mask).sum(axis=1, dtype=np.int64)
    return np.asarray(np.maximum(counts, counts.T))


def _products(bits: Tensor) -> NDArray[np.int64]:
    """Count with one matrix product, in pieces; sums are whole numbers below 2^24, so exact."""
    shifts = torch.arange(BITS - 1, -1, -1, dtype=torch.uint8, device=bits.device)
    total = torch.zeros((len(bits), len(bits)), dtype=torch.float32, device=bits.device)
    for piece in bits.split(OVERLAP_CHUNK_BYTES, dim=1):
        flags = ((piece[:, :, None] >> shifts) & 1).flatten(1).to(torch.float32)
        total.addmm_(flags, flags.T)
    counts: NDArray[np.int64] = total.cpu().numpy().astype(np.int64)
    return counts


def _clusters(shared: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give each mask the first mask before it that leads a cluster and is nearly the same."""
    sizes = np.diagonal(shared)
    union = sizes[:, None] + sizes - shared
    with np.errstate(invalid="ignore"):
        is_same = shared / union > SAME_MASK_IOU  # blank masks are like nothing
    owners = np.full(len(shared), -1, dtype=np.int64)
    leads = np.zeros(len(shared), dtype=np.bool_)
    for mask in range(len(shared)):
        alike = is_same[mask] & leads
        owners[mask] = int(alike.argmax()) if alike.any() else mask
        leads[mask] = owners[mask] == mask
    return owners


def _leaders(
    owners: NDArray[np.int64], shared: NDArray[np.int64], needed: int
) -> NDArray[np.int64]:
    """Find masks that lead a cluster of so many at least, and are not blank."""
    members = np.bincount(owners, minlength=len(owners))
    return np.flatnonzero((members >= needed) & (np.diagonal(shared) > 0))


def _without_same_boxes(
    heads: NDArray[np.int64], bits: NDArray[np.uint8], points: NDArray[np.floating]
) -> NDArray[np.int64]:
    """Drop each mask whose box overlaps with that of one before it."""
    inside = [points[_inside(bits[head], len(points))] for head in heads]
    low = np.array([some.min(axis=0) for some in inside]).reshape(-1, 3)
    high = np.array([some.max(axis=0) for some in inside]).reshape(-1, 3)
    alike = _box_iou(low, high) > SAME_BOX_IOU
    stays = np.ones(len(heads), dtype=np.bool_)
    for head in range(len(heads)):
        if stays[head]:
            stays[head + 1 :] &= ~alike[head, head + 1 :]
    return heads[stays]


def _box_iou(low: NDArray[np.floating], high: NDArray[np.floating]) -> NDArray[np.floating]:
    """Share of the volume of two boxes together that both have, (k, k); NaN without a volume."""
    sides = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    both = np.clip(sides, 0, None).prod(axis=2)
    volumes = (high - low).prod(axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray(both / (volumes[:, None] + volumes - both))


def _newly_covering(
    kept: NDArray[np.int64], bits: NDArray[np.uint8], points: int
) -> NDArray[np.int64]:
    """Find masks, best first, most of whose points are in none that was kept or found before."""
    uncovered = np.packbits(np.ones(points, dtype=np.bool_))
    uncovered &= ~np.bitwise_or.reduce(bits[kept], axis=0, initial=np.uint8(0))
    sizes = np.bitwise_count(bits).sum(axis=1, dtype=np.int64)
    is_kept = np.zeros(len(bits), dtype=np.bool_)
    is_kept[kept] = True
    found = []
    for mask in np.flatnonzero(~is_kept & (sizes > 0)):
        new = int(np.bitwise_count(bits[mask] & uncovered).sum(dtype=np.int64))
        if new / int(sizes[mask]) > NEW_SHARE:
            found.append(mask)
            uncovered &= ~bits[mask]
    return np.array(found, dtype=np.int64)


def _inside(bits: NDArray[np.uint8], points: int) -> NDArray[np.bool_]:
    return np.unpackbits(bits, count=points).view(np.bool_)
