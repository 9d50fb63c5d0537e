"""The published way from features of points to masks: every pair has a row. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.parts.reference_layers import State, stacked

MASKS_PER_PROMPT = 3


@dataclass(frozen=True)
class HeadAnswers:
    """What the heads say of prompts.

    Parameters
    ----------
    probabilities : Tensor, shape (points, prompts, 3)
    iou : Tensor, shape (prompts, 3)
    """

    probabilities: Tensor
    iou: Tensor


def head_answers(
    state: State, features: Tensor, points: Tensor, prompts: Tensor, iterations: int = 1
) -> HeadAnswers:
    """Ask of every point for every prompt of one batch.

    Parameters
    ----------
    features : Tensor, shape (points, channels)
    points : Tensor, shape (points, 3)
    prompts : Tensor, shape (prompts, 3)

    Source
    ------
    P3-SAM: Native 3D Part Segmentation (2025).
    """
    count, asked = len(features), len(prompts)
    pairs = torch.cat(
        [
            features[:, None].repeat(1, asked, 1),
            points[:, None].repeat(1, asked, 1),
            prompts[None].repeat(count, 1, 1),
        ],
        dim=-1,
    )
    masks = _three(state, "seg_mlp_", pairs)
    for _ in range(iterations):
        second = torch.cat([pairs, masks], dim=-1)
        whole = stacked(state, "seg_s2_mlp_g", second).amax(0, keepdim=True).repeat(count, 1, 1)
        masks = _three(state, "seg_s2_mlp_", torch.cat([whole, second], dim=-1))
    judged = stacked(state, "iou_mlp", torch.cat([whole, pairs, masks], dim=-1)).amax(0)
    return HeadAnswers(masks.sigmoid(), stacked(state, "iou_mlp_out", judged).sigmoid())


def _three(state: State, name: str, x: Tensor) -> Tensor:
    each = [stacked(state, f"{name}{number + 1}", x) for number in range(MASKS_PER_PROMPT)]
    return torch.cat(each, dim=-1)


def best_masks(
    state: State, features: Tensor, points: Tensor, prompts: Tensor, prompt_batch: int
) -> tuple[Tensor, Tensor]:
    """Keep the mask of each prompt that the network likes most, copied to the host per batch.

    Returns
    -------
    masks : Tensor, shape (points, prompts) bool
    iou : Tensor, shape (prompts,)
    """
    masks, iou = [], []
    for batch in prompts.split(prompt_batch):
        answers = head_answers(state, features, points, batch)
        on_host, best = answers.probabilities.cpu().float(), answers.iou.cpu().float()
        for prompt, chosen in enumerate(best.argmax(-1)):
            masks.append(on_host[:, prompt, chosen] > 0.5)
            iou.append(best[prompt, chosen])
    return torch.stack(masks, dim=1), torch.stack(iou)
