from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from backend.engines.mask_head_work import mask_flop
from backend.models.p3sam.config import HeadsConfig
from backend.models.p3sam.mask_heads import MaskHeads

POINTS, PROMPTS = 400, 30


@pytest.mark.parametrize(
    "config", [HeadsConfig(), HeadsConfig(feature_channels=24, width=40, inner_width=20)]
)
def test_the_count_is_that_of_the_products_that_torch_runs(config):
    """But for the first layers and the last ones of prompts, which do not grow with points."""
    with torch.device("meta"):
        heads = MaskHeads(config)
        features = torch.zeros(POINTS, config.feature_channels)
        points, prompts = torch.zeros(POINTS, 3), torch.zeros(PROMPTS, 3)
    counter = FlopCounterMode(display=False)
    with counter:
        heads(heads.point_terms(features, points), prompts)
    counted = mask_flop(config, POINTS, PROMPTS)
    assert 0.98 * counter.get_total_flops() < counted <= counter.get_total_flops()
