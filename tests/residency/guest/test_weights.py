from __future__ import annotations

import pytest
import torch
from torch import nn

from backend.residency.guest.weights import CannotMove, MovableWeights
from tests.residency.tiny_models import TINY_MODELS

CPU = torch.device("cpu")  # stands in for the device: the block is another piece of memory


@pytest.mark.parametrize("name", TINY_MODELS)
def test_output_is_bit_equal_there_and_back(name):
    load, make_input = TINY_MODELS[name]
    model, data = load(), make_input()
    with torch.inference_mode():
        expected = model(data)
        weights = MovableWeights(torch, [model])
        for _ in range(2):
            weights.to_device(CPU)
            start = weights.block.data_ptr()
            inside = range(start, start + weights.size_bytes)
            assert all(p.data_ptr() in inside for p in model.parameters())
            assert torch.equal(model(data), expected)
            weights.to_host()
            assert weights.block is None
            assert torch.equal(model(data), expected)


def test_tied_weights_and_lone_tensors_move_as_one():
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    model[1].weight = model[0].weight
    lone = torch.arange(3.0)
    view = lone[1:]
    weights = MovableWeights(torch, [model], [lone, view])
    weights.to_device(CPU)
    assert weights.size_bytes == 512
    with torch.no_grad():
        lone[1] = 9.0
    assert view[0] == 9.0, "what shared memory still does"
    weights.to_host()
    assert lone.tolist() == [0, 9, 2]


def test_nothing_is_copied_back_unless_it_was_written_to():
    model = nn.Linear(8, 8)
    weights = MovableWeights(torch, [model])
    weights.to_device(CPU)
    writes = weights.host._version
    weights.to_host()
    assert weights.host._version == writes
    weights.to_device(CPU)
    with torch.no_grad():
        model.bias.fill_(3.0)
    weights.to_host()
    assert (model.bias == 3).all()
    weights.to_device(CPU)
    assert (model.bias == 3).all()


def test_replaced_tensors_are_laid_out_anew():
    model = nn.Linear(8, 8)
    weights = MovableWeights(torch, [model])
    weights.to_device(CPU)
    model.weight = nn.Parameter(torch.full((2, 8), 7.0))
    weights.to_host()
    weights.to_device(CPU)
    assert (model.weight == 7).all()
    assert weights.size_bytes == 512


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(2, 2, device="meta"),
        lambda: nn.ParameterList([nn.Parameter(torch.eye(2).to_sparse())]),
    ],
)
def test_what_is_no_plain_memory_is_refused(make):
    with pytest.raises(CannotMove):
        MovableWeights(torch, [make()])
