"""What the original P3-SAM was once recorded with."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import torch

from backend.models.hunyuan3d.plain_weights import fold_origins
from backend.models.p3sam.config import HeadsConfig
from backend.models.p3sam.heads_weights import heads_origins
from backend.models.p3sam.mask_heads import MaskHeads
from backend.models.p3sam.prompt_masks import PromptMasks, packed
from tests.models.golden_files import part_metadata, part_tensors, part_weights

HEADS = "p3sam_heads_tiny"
SEGMENTATIONS = ("post", "nopost", "holes")


@cache
def config() -> HeadsConfig:
    return HeadsConfig.from_upstream(json.loads(part_metadata(HEADS)["config"]))


@cache
def heads() -> MaskHeads:
    with torch.device("meta"):
        made = MaskHeads(config())
    made.load_state_dict(fold_origins(part_weights(HEADS), heads_origins(config())), assign=True)
    return made


def segmentation(name: str) -> dict[str, torch.Tensor]:
    return part_tensors(f"p3sam_postprocess_{name}")


def best_masks(name: str) -> PromptMasks:
    """Those of three that are expected to fit best, as the heads would return them."""
    given = segmentation(name)
    points = len(given["in.face_idx"])
    three = [
        np.unpackbits(given[f"in.mask{number}_packbits_axis0"].numpy(), axis=0, count=points)
        for number in (1, 2, 3)
    ]
    iou, best = given["in.iou"].max(dim=1)
    masks = np.stack(three)[best.numpy(), :, np.arange(len(best))]
    return PromptMasks(packed(torch.from_numpy(masks) > 0), points, iou)
