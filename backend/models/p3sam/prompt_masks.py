"""The best mask of each of many prompts, in bounded memory. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.models.p3sam.config import MASKS, HeadsConfig
from backend.models.p3sam.mask_heads import MaskHeads, PointTerms

Tell: TypeAlias = Callable[[int, int], None]

CHUNK_POINTS = 4096
PROMPT_BATCH = 16
CPU_CHUNK_POINTS = 1024
CPU_PROMPT_BATCH = 8
"""What fits into the caches of a processor; a GPU wants more to do at a time."""
BITS = 8
LIVE_HIDDEN = 3
"""Hidden layers of points and prompts that are in memory at once, at most."""
LIVE_FLAGS = 4
"""Copies of masks as bools, while they become bits."""


@dataclass(frozen=True)
class PromptMasks:
    """Masks over points, a bit each.

    Parameters
    ----------
    bits : Tensor, shape (k, ceil(points / 8)) uint8
        The first point is the highest bit of the first byte, as ``numpy.packbits`` has it.
    points : int
    iou : Tensor, shape (k,) float32
        How well each is expected to fit, from 0 to 1.
    """

    bits: Tensor
    points: int
    iou: Tensor

    def __len__(self) -> int:
        return len(self.bits)

    def unpacked(self) -> NDArray[np.bool_]:
        """All masks on the host, (k, points) bool."""
        rows = np.unpackbits(self.bits.cpu().numpy(), axis=1, count=self.points)
        return rows.astype(np.bool_)


def packed(masks: Tensor) -> Tensor:
    """Keep a bit of each bool of the last axis: (..., ceil(n / 8)) uint8."""
    short = -masks.shape[-1] % BITS
    groups = torch.nn.functional.pad(masks, (0, short)).unflatten(-1, (-1, BITS))
    weights = 2 ** torch.arange(BITS - 1, -1, -1, dtype=torch.uint8, device=masks.device)
    bits: Tensor = (groups * weights).sum(dim=-1, dtype=torch.uint8)
    return bits


def working_bytes(
    config: HeadsConfig,
    points: int,
    dtype: torch.dtype,
    *,
    chunk_points: int = CHUNK_POINTS,
    prompt_batch: int = PROMPT_BATCH,
) -> int:
    """Estimate the most memory that ``prompt_masks`` takes, with the terms of the points.

    Parameters
    ----------
    points : int
        Of the cloud.
    dtype : torch.dtype
        Of the weights.
    """
    pairs = min(chunk_points, points) * prompt_batch
    hidden = max(config.width, MASKS * config.inner_width)
    kept = points * prompt_batch * MASKS * (torch.float32.itemsize + LIVE_FLAGS)
    terms = points * config.first_channels * dtype.itemsize
    return terms + kept + pairs * hidden * LIVE_HIDDEN * dtype.itemsize


@torch.no_grad()
def prompt_masks(
    heads: MaskHeads,
    terms: PointTerms,
    prompts: Tensor,
    *,
    chunk_points: int = CHUNK_POINTS,
    prompt_batch: int = PROMPT_BATCH,
    tell: Tell = lambda done, total: None,
) -> PromptMasks:
    """Keep for each prompt the mask that is expected to fit best.

    The host waits for the device only where ``tell`` makes it.

    Parameters
    ----------
    terms : PointTerms
        Of all points, on the device of the heads.
    prompts : Tensor, shape (k, 3) float32
        In the coordinates of the points.
    chunk_points, prompt_batch : int
        Points and prompts that are looked at together; results do not depend on it but for
        rounding.
    tell : callable
        Told before each batch how many prompts are done, and of how many; what it raises is
        raised.

    Returns
    -------
    PromptMasks
        On the device of the heads.
    """
    bits, iou = [], []
    for start in range(0, len(prompts), prompt_batch):
        tell(start, len(prompts))
        three, expected = _three_masks(
            heads, terms, prompts[start : start + prompt_batch], chunk_points
        )
        expected, best = expected.max(dim=1)
        chosen = best[:, None, None].expand(-1, 1, three.shape[2])
        bits.append(three.gather(1, chosen).squeeze(1))
        iou.append(expected)
    tell(len(prompts), len(prompts))
    return PromptMasks(torch.cat(bits), len(terms), torch.cat(iou))


@torch.no_grad()
def masks_of_point(
    heads: MaskHeads, terms: PointTerms, prompt: Tensor, *, chunk_points: int = 16 * CHUNK_POINTS
) -> PromptMasks:
    """Predict all three masks of one prompt.

    Parameters
    ----------
    prompt : Tensor, shape (1, 3) float32

    Returns
    -------
    PromptMasks
        Three of them.
    """
    bits, iou = _three_masks(heads, terms, prompt, chunk_points)
    return PromptMasks(bits[0], len(terms), iou[0])


def _three_masks(
    heads: MaskHeads, terms: PointTerms, prompts: Tensor, chunk_points: int
) -> tuple[Tensor, Tensor]:
    """Predict bits (k, 3, ceil(n / 8)) and how well masks fit (k, 3).

    What one point tells of all points is known only when all were looked at, so they are looked
    at twice; between, no more than the first masks are kept.
    """
    asked = heads.prompt_terms(prompts)
    first, context = [], []
    for points in _chunks(terms, chunk_points):
        first.append(heads.first_masks(points, asked))
        context.append(heads.context_of(points, asked, first[-1]))
    known = heads.with_context(asked, torch.stack(context).amax(dim=0))
    inside, quality = [], []
    for points, masks in zip(_chunks(terms, chunk_points), first, strict=True):
        logits = heads.refined_logits(points, known, masks)
        quality.append(heads.quality_of(points, known, logits))
        inside.append((logits > 0).transpose(1, 2))
    expected = heads.predicted_iou(torch.stack(quality).amax(dim=0))
    return packed(torch.cat(inside, dim=2)), expected


def _chunks(terms: PointTerms, chunk_points: int) -> Iterator[PointTerms]:
    for start in range(0, len(terms), chunk_points):
        yield terms.rows(slice(start, start + chunk_points))
