"""Checks recorded heads that make masks of parts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from backend.models.hunyuan3d.plain_weights import fold_origins
from backend.models.p3sam.config import MASKS, HeadsConfig
from backend.models.p3sam.heads_weights import heads_origins
from backend.models.p3sam.mask_heads import MaskHeads
from backend.models.p3sam.prompt_masks import PromptMasks, prompt_masks
from bench.parity.building import built
from bench.parity.comparison import Comparison, compared_exactly
from bench.parity.golden_folder import GoldenFile
from bench.parity.recorded_lines import Tolerance, all_recorded

TOLERANCE = Tolerance(1e-5)
# Rounding decides on which side of the middle a probability nearer to it lies.
UNDECIDED = 1e-5
SMALL_CHUNK, SMALL_BATCH = 64, 3
_ROUND = re.compile(r"out\.(?:mask\d_prob|iou)_iter(\d+)")


def is_mask_heads(file: GoldenFile) -> bool:
    """Whether a file holds heads that predict masks."""
    return file.has("weights.seg_mlp_1.0.weight")


def mask_heads(params: Any, weights: dict[str, Tensor]) -> MaskHeads:
    """Build heads as an engine does."""
    config = HeadsConfig.from_upstream(params)
    return built(MaskHeads, config, fold_origins(weights, heads_origins(config)))


@torch.no_grad()
def mask_head_comparisons(file: GoldenFile) -> Iterator[Comparison]:
    """Compare masks and how good they are said to be, after each number of rounds."""
    heads, given = mask_heads(file.noted["config"], file.weights("weights.")), file.tensors
    terms = heads.point_terms(given["in.feats"], given["in.points"])
    rounds = {int(found[1]) for name in file.recorded if (found := _ROUND.fullmatch(name))}
    made: dict[str, Tensor] = {}
    for number in sorted(rounds):
        logits, iou = heads(terms, given["in.prompts"], iterations=number)
        made[f"out.iou_iter{number}"] = iou
        for mask in range(MASKS):
            made[f"out.mask{mask + 1}_prob_iter{number}"] = logits[..., mask].sigmoid()
    yield from all_recorded(file, made, TOLERANCE)
    best = prompt_masks(
        heads,
        terms,
        given["in.prompts"],
        chunk_points=SMALL_CHUNK,
        prompt_batch=SMALL_BATCH,
    )
    yield from _best_masks(file, best)


def _best_masks(file: GoldenFile, best: PromptMasks) -> Iterator[Comparison]:
    """Compare the masks that are kept, in small pieces, with the recorded ones liked most."""
    names = [f"out.mask{mask + 1}_prob_iter1" for mask in range(MASKS)]
    if not file.has("out.iou_iter1") or not all(file.has(name) for name in names):
        return
    recorded = torch.stack([file.tensors[name] for name in names])
    _, chosen = file.tensors["out.iou_iter1"].max(1)
    probabilities = recorded[chosen, torch.arange(len(chosen))]
    is_sure = (probabilities - 0.5).abs() > UNDECIDED
    found = torch.from_numpy(best.unpacked())
    title = f"{file.name} {names[0]}, best masks in pieces"
    yield compared_exactly(title, found[is_sure], (probabilities > 0.5)[is_sure])
