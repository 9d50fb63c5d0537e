from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from backend.models.sonata.neighbours import find_neighbours
from backend.models.sonata.submanifold_convolution import SubmanifoldConvolution
from tests.models.sonata.sonata_golden import random_cells

WIDTH, SIDE = 6, 7


class LargestTensor(TorchDispatchMode):
    """Notes how many numbers the largest new tensor has."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and not func.is_view:
            self.numbers = max(self.numbers, result.numel())
        return result


@pytest.fixture(scope="module")
def convolution():
    generator = torch.Generator().manual_seed(1)
    built = SubmanifoldConvolution(WIDTH).requires_grad_(False)
    built.weight.normal_(generator=generator)
    built.bias.normal_(generator=generator)
    return built


@pytest.mark.parametrize("count", [1, 60, SIDE**3])
def test_it_equals_a_dense_convolution_at_the_occupied_cells(convolution, count):
    cells = random_cells(count, SIDE)
    features = torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(2))
    dense = torch.zeros(1, WIDTH, SIDE, SIDE, SIDE)
    dense[0, :, *cells.T] = features.T
    weight = convolution.weight.unflatten(1, (3, 3, 3)).permute(0, 4, 1, 2, 3)
    wanted = functional.conv3d(dense, weight, convolution.bias, padding=1)[0, :, *cells.T].T
    found = convolution(features, find_neighbours(cells))
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_no_tensor_is_larger_than_the_features(convolution):
    cells = random_cells(SIDE**3, SIDE)
    features, neighbours = torch.ones(len(cells), WIDTH), find_neighbours(cells)
    with LargestTensor() as largest:
        convolution(features, neighbours)
    assert 0 < largest.numbers <= features.numel()


def test_features_are_not_changed(convolution):
    features = torch.ones(60, WIDTH)
    convolution(features, find_neighbours(random_cells(60)))
    assert (features == 1).all()
