from __future__ import annotations

import shutil

import pytest
import torch
from torch import nn

from backend.gpu.compilation import GRAPH_WARM_UPS, CompiledModel
from backend.residency.arena import Arena
from tests.residency.conftest import StandingClock
from tests.residency.tiny_models import TINY_MODELS

# inductor imports a part of torch that is deprecated
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")


@pytest.fixture(autouse=True)
def fresh_torch():
    torch._dynamo.reset()
    with torch.no_grad():
        yield
    torch._dynamo.reset()


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 4)).eval()


def compiled(module, backend="eager", *, resident=False, enabled=True, clock=None):
    return CompiledModel(
        module, resident=resident, enabled=enabled, clock=clock or StandingClock(), backend=backend
    )


def as_it_is(graph, examples):
    return graph.forward


class Broken:
    """A backend that cannot compile, or whose code fails when it runs."""

    def __init__(self, error, *, when_run=False):
        self.tries, self._error, self._when_run = 0, error, when_run

    def __call__(self, graph, examples):
        self.tries += 1
        if not self._when_run:
            raise self._error
        return self.run

    def run(self, *args):
        raise self._error


@pytest.mark.parametrize("name", TINY_MODELS)
def test_moving_the_weights_compiles_nothing_anew_and_the_new_place_is_read(name):
    load, make_input = TINY_MODELS[name]
    module, data = load(), make_input()
    expected = module(data)
    arena, model = Arena(module), compiled(module)
    assert torch.equal(model(data), expected)
    graphs = model.state()["graphs"]
    for _ in range(3):
        block = arena.host.clone()
        arena.point_to(block)
        assert torch.equal(model(data), expected)
        block.zero_()
        assert not torch.equal(model(data), expected), "the block is what it reads"
        arena.point_to(arena.host)
        assert torch.equal(model(data), expected)
    assert (model.recompiles, model.state()["graphs"]) == (0, graphs)
    assert graphs >= 1


def test_replaced_parameters_are_counted_as_a_recompile():
    module, data = network(), torch.ones(2, 8)
    model = compiled(module)
    model(data)
    module[0] = nn.Linear(8, 8, bias=False)
    assert torch.equal(model(data), module(data))
    assert model.recompiles == 1


def test_new_shapes_are_counted_as_recompiles():
    model = compiled(network())
    model(torch.ones(2, 8))
    assert model.recompiles == 0
    model(torch.ones(5, 8))
    assert model.recompiles == 1
    model(torch.ones(7, 8))
    assert model.recompiles == 1, "the batch has become a variable"


class Breaks(nn.Module):
    def forward(self, x):
        y = x * 2
        torch._dynamo.graph_break()
        return y + 1


def test_graph_breaks_are_counted_and_the_graphs_of_the_first_call_are_no_recompiles():
    model = compiled(Breaks())
    assert torch.equal(model(torch.ones(3)), torch.full((3,), 3.0))
    assert model.graph_breaks >= 1
    assert model.recompiles == 0
    breaks = model.graph_breaks
    model(torch.ones(3))
    assert model.graph_breaks == breaks
    whole = compiled(network())
    whole(torch.ones(2, 8))
    assert whole.graph_breaks == 0


@pytest.mark.parametrize("when_run", [False, True])
def test_a_failure_to_compile_leaves_plain_torch_and_is_not_tried_again(when_run):
    backend = Broken(ValueError("the compiler is not installed\nHint\nmore"), when_run=when_run)
    module, data = network(), torch.ones(2, 8)
    model = compiled(module, backend)
    for _ in range(3):
        assert torch.equal(model(data), module(data))
    model(torch.ones(9, 8))
    assert backend.tries == 1
    state = model.state()
    assert "the compiler is not installed" in state["reason"]
    assert "more" not in state["reason"]
    assert (state["compiled"], state["mode"]) == (False, None)


def test_a_backend_that_does_not_exist_is_a_failure_like_any_other():
    module, data = network(), torch.ones(2, 8)
    model = compiled(module, "no_such_backend")
    assert torch.equal(model(data), module(data))
    assert "no_such_backend" in model.reason


def test_what_the_module_itself_raises_is_raised_and_not_put_down_to_compiling():
    model = compiled(network())
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        model(torch.ones(2, 9))
    assert model.reason is None
    assert model(torch.ones(2, 8)).shape == (2, 4)
    assert model.state()["compiled"]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
    ],
)
def test_a_lack_of_memory_or_a_lost_context_is_raised(error):
    model = compiled(network(), Broken(error, when_run=True))
    with pytest.raises(type(error)):
        model(torch.ones(2, 8))
    assert model.reason is None


def test_switched_off_it_compiles_nothing():
    backend = Broken(ValueError())
    module, data = network(), torch.ones(2, 8)
    model = compiled(module, backend, enabled=False)
    assert torch.equal(model(data), module(data))
    assert (backend.tries, model.reason, model.mode) == (0, "switched off", None)


def test_the_warm_up_is_timed_and_leaves_nothing_to_compile():
    clock = StandingClock()

    def slow(graph, examples):
        clock.forward(7.0)
        return graph.forward

    model = compiled(network(), slow, clock=clock)
    assert model.state()["warm_up_s"] is None
    assert model.warm_up(torch.ones(2, 8)) == 7.0
    assert model.state()["warm_up_s"] == 7.0
    assert model.warm_up(torch.ones(2, 8)) == 0.0
    assert model.recompiles == 0


@torch._dynamo.config.patch(recompile_limit=2)
def test_modules_of_one_class_do_not_use_up_each_others_limit():
    models = [compiled(network(), as_it_is) for _ in range(5)]
    for model in models:
        model(torch.ones(2, 8))
    assert [model.state()["graphs"] for model in models] == [1] * len(models)


class GraphRecorder:
    """In place of inductor: writes each result to one buffer, as a recorded graph does."""

    def __init__(self, monkeypatch):
        self.options, self.runs = [], 0
        monkeypatch.setattr(torch._dynamo, "lookup_backend", lambda name: self.compile)

    def compile(self, graph, examples, config_patches=None):
        self.options.append(config_patches)
        buffers = None

        def run(*args):
            nonlocal buffers
            self.runs += 1
            results = graph.forward(*args)
            if buffers is None:
                buffers = results
            for buffer, result in zip(buffers, results, strict=True):
                buffer.copy_(result)
            return buffers

        return run


def test_graphs_are_recorded_only_for_a_model_that_stays_and_results_are_copies(monkeypatch):
    recorder, module = GraphRecorder(monkeypatch), network()
    ones, twos = torch.ones(2, 8), torch.full((2, 8), 2.0)
    model = compiled(module, "inductor", resident=True)
    assert model.mode == "reduce-overhead"
    first, second = model(ones), model(twos)
    assert torch.equal(first, module(ones)), "the second run must not write over it"
    assert torch.equal(second, module(twos))
    assert recorder.options == [{"triton.cudagraphs": True}]
    moving = compiled(network(), "inductor", resident=False)
    assert moving.mode == "default"
    moving(ones)
    assert recorder.options[1:] == [None]


def test_a_warm_up_with_graphs_runs_until_they_replay(monkeypatch):
    recorder = GraphRecorder(monkeypatch)
    compiled(network(), "inductor", resident=True).warm_up(torch.ones(2, 8))
    assert recorder.runs == GRAPH_WARM_UPS


@torch._dynamo.config.patch(recompile_limit=2)
def test_dropped_graphs_are_recorded_anew_however_often(monkeypatch):
    recorder, data = GraphRecorder(monkeypatch), torch.ones(2, 8)
    model = compiled(network(), "inductor", resident=True)
    times = 5
    for _ in range(times):
        model(data)
        model(data)
        model.drop_graphs()
        assert not model.state()["compiled"]
    assert len(recorder.options) == times
    assert model.recompiles == 0, "it was asked for"


def test_without_graphs_there_is_nothing_to_drop():
    model = compiled(network())
    model(torch.ones(2, 8))
    model.drop_graphs()
    model(torch.ones(2, 8))
    assert model.state()["graphs"] == 1


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler here")
def test_inductor_reads_the_weights_where_they_are_now():
    module, data = network(), torch.linspace(-1, 1, 16).reshape(2, 8)
    arena, model = Arena(module), compiled(module, "inductor")
    torch.testing.assert_close(model(data), module(data))
    assert model.reason is None
    block = arena.host.clone()
    arena.point_to(block)
    module[0].weight.mul_(2)
    torch.testing.assert_close(model(data), module(data))
    assert model.state()["graphs"] == 1
