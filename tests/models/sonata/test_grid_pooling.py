from __future__ import annotations

import torch
from torch.nn import functional

from backend.models.sonata.grid_pooling import GridPooling


def test_each_cell_takes_the_largest_of_each_channel_of_those_in_it():
    torch.manual_seed(0)
    pooling = GridPooling(4, 6).requires_grad_(False)
    features, parents = torch.randn(40, 4) - 3, torch.arange(40) % 7
    projected = pooling.projection(features)
    largest = torch.stack([projected[parents == cell].amax(dim=0) for cell in range(7)])
    wanted = functional.gelu(functional.layer_norm(largest, (6,), eps=1e-5))
    torch.testing.assert_close(pooling(features, parents, 7), wanted, rtol=1e-6, atol=1e-6)
