"""A small Stable Diffusion of diffusers', which is another implementation of the same network."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from tests.models.hunyuan3d_paint.paint_golden import drawn

PARAMS: dict[str, Any] = {
    "in_channels": 4,
    "out_channels": 4,
    "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
    "block_out_channels": [16, 32, 16],
    "attention_head_dim": [1, 2, 1],
    "layers_per_block": 2,
    "cross_attention_dim": 24,
    "norm_num_groups": 8,
    "use_linear_projection": True,
}


@cache
def stable_diffusion(in_channels: int = 4) -> UNet2DConditionModel:
    network = UNet2DConditionModel(**(PARAMS | {"in_channels": in_channels}))
    network.load_state_dict(drawn({name: one.shape for name, one in network.state_dict().items()}))
    return network.eval().requires_grad_(False)


def told() -> torch.Tensor:
    """A text."""
    return torch.randn(
        1, 5, PARAMS["cross_attention_dim"], generator=torch.Generator().manual_seed(2)
    )
