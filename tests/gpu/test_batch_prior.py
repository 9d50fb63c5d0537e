from __future__ import annotations

import pytest
import torch
from torch import nn

from backend.gpu.batch_prior import count_peak
from backend.gpu.peak_model import Basis

TOKENS, WIDTH = 512, 256


def build():
    layers = [
        nn.TransformerEncoderLayer(
            WIDTH, 4, 4 * WIDTH, batch_first=True, dropout=0.0, dtype=torch.float16
        )
        for _ in range(4)
    ]
    return nn.Sequential(*layers)


def inputs(batch):
    return (torch.zeros(batch, TOKENS, WIDTH, dtype=torch.float16),)


def test_memory_grows_by_the_same_amount_with_each_item():
    small, large = count_peak(build, inputs), count_peak(build, inputs, (4, 8))
    assert small.basis is Basis.PRIOR
    assert small.per_item_mb == pytest.approx(large.per_item_mb, rel=1e-6)
    one_activation_mb = TOKENS * WIDTH * 2 / 2**20
    assert small.per_item_mb >= 5 * one_activation_mb, "the hidden layer is four times as wide"
    assert small.fixed_mb == pytest.approx(0.0, abs=0.5)


def test_it_allocates_nothing_of_that_size():
    huge = count_peak(
        lambda: nn.Linear(2**16, 2**16, dtype=torch.float16),
        lambda b: (torch.zeros(b, 2**16, dtype=torch.float16),),
    )
    assert huge.per_item_mb < 1, "8 GB of weights are not counted as growth, nor allocated"
