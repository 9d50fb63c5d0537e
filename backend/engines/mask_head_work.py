"""What the mask heads of P3-SAM have to compute."""

from __future__ import annotations

from backend.models.p3sam.config import MASKS, HeadsConfig


def mask_flop(config: HeadsConfig, points: int, prompts: int) -> int:
    """Count floating-point operations of products for so many points and prompts.

    A product and a sum are two. First layers count once per point; those of prompts are few.

    Examples
    --------
    >>> mask_flop(HeadsConfig(), 100_000, 400) // 10**12
    100
    """
    per_point = config.first_channels * (config.feature_channels + 3)
    return 2 * points * (per_point + prompts * macs_per_pair(config))


def macs_per_pair(config: HeadsConfig) -> int:
    """Count multiplications of one point with one prompt, without the first layers.

    Examples
    --------
    >>> macs_per_pair(HeadsConfig())
    1251328
    """
    width, inner = config.width, config.inner_width
    first = MASKS * (width * width + width)
    seen_masks = MASKS * inner
    over_all_points = seen_masks + 2 * inner * inner  # once for the context, once for the quality
    refined = MASKS * (seen_masks + inner * inner + inner)
    return first + 2 * over_all_points + refined
