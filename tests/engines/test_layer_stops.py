from __future__ import annotations

import pytest
import torch
from torch import nn

from backend.engines.layer_stops import ask_before_layers
from backend.errors import JobCanceled
from backend.progress import heeding
from tests.stopping_progress import StoppingProgress


class Layer(nn.Module):
    """Counts its calls."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.calls = 0

    def forward(self, inputs):
        self.calls += 1
        return self.linear(inputs)


class Network(nn.Module):
    """Five layers, and a list of matrices that count as none."""

    def __init__(self):
        super().__init__()
        self.matrices = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
        self.layers = nn.ModuleList(Layer() for _ in range(5))

    def forward(self, inputs):
        for module in (*self.matrices, *self.layers):
            inputs = module(inputs)
        return inputs


@pytest.fixture
def network():
    made = Network()
    ask_before_layers(made)
    return made


def test_a_call_ends_before_the_layer_at_which_its_job_was_canceled(network):
    progress = StoppingProgress(at=3)
    with heeding(progress), pytest.raises(JobCanceled):
        network(torch.ones(1, 4))
    assert [layer.calls for layer in network.layers] == [1, 1, 0, 0, 0]


def test_a_call_of_a_job_that_goes_on_gives_what_it_gave(network):
    progress = StoppingProgress(at=0)
    with heeding(progress):
        found = network(torch.ones(1, 4))
    assert progress.asked == 5
    assert torch.equal(found, network(torch.ones(1, 4)))


def test_a_compiled_call_asks_nobody(network):
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    progress = StoppingProgress(at=1)
    with heeding(progress):
        found = compiled(torch.ones(1, 4))
    assert progress.asked == 0
    assert torch.equal(found, network(torch.ones(1, 4)))
