from __future__ import annotations

import pytest
import torch
from torch import nn

from backend.errors import JobCanceled
from backend.models.quantised_linear import Int8Linear, quantised
from backend.progress import heeding
from tests.stopping_progress import StoppingProgress


@pytest.fixture
def linear():
    torch.manual_seed(1)
    return nn.Linear(96, 64).requires_grad_(False)


@pytest.mark.parametrize("shape", [(1, 96), (2, 40, 96)])
def test_the_result_differs_by_rounding_alone(linear, shape):
    inputs = torch.randn(shape)
    expected = linear(inputs)
    result = Int8Linear(linear)(inputs)
    assert result.shape == expected.shape
    error = (result - expected).square().mean().sqrt() / expected.std()
    assert 0 < error < 0.01


def test_a_large_row_does_not_coarsen_the_others(linear):
    linear.weight[0] *= 1000
    apart = (Int8Linear(linear).weight - linear.weight).abs().amax(dim=1)
    allowed = linear.weight.abs().amax(dim=1) / 127
    assert bool((apart <= allowed / 2 * 1.001).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_fits_the_levels_is_kept_to_the_bit(dtype):
    linear = nn.Linear(64, 32, bias=False, dtype=dtype).requires_grad_(False)
    linear.weight.copy_(torch.randint(-127, 128, (32, 64)))
    linear.weight[:, 0] = 127
    inputs = torch.randn(40, 64, dtype=dtype)
    assert torch.equal(Int8Linear(linear)(inputs), linear(inputs))


def test_weights_of_zero_stay_zero(linear):
    linear.weight.zero_()
    result = Int8Linear(linear)(torch.randn(3, 96))
    assert torch.equal(result, linear.bias.expand(3, -1))


def test_only_large_layers_are_replaced_and_memory_shrinks_to_a_quarter():
    network = nn.Sequential(nn.Linear(256, 256), nn.ModuleDict({"small": nn.Linear(8, 8)}))
    large = network[0].weight.nbytes
    quantised(network, fewest_weights=1000)
    assert isinstance(network[0], Int8Linear)
    assert type(network[1]["small"]) is nn.Linear
    assert network[0].levels.nbytes + network[0].scales.nbytes < large * 0.26
    assert network[0].weight.dtype is torch.float32


def test_rounding_stops_with_the_job_that_wants_the_weights():
    network = nn.Sequential(*(nn.Linear(32, 32) for _ in range(5)))
    with heeding(StoppingProgress(at=3)), pytest.raises(JobCanceled):
        quantised(network, fewest_weights=1)
    assert [type(layer) for layer in network] == 2 * [Int8Linear] + 3 * [nn.Linear]
