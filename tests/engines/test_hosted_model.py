from __future__ import annotations

import gc

import pytest
import torch
from torch import nn

from backend.engines.chosen_attention import chosen_attention
from backend.engines.hosted_model import HostedModel, hosted_models
from backend.profiling.recorder import profile_stage, record_pipeline
from backend.profiling.spans import SpanKind
from backend.runtime_settings import in_force, recorded_reads
from tests.residency.conftest import StandingClock

WIDTH = 8


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(WIDTH, WIDTH)
        self.attend = chosen_attention(StandingClock())

    def forward(self, tokens, places=None, *, factor=1.0):
        heads = self.layer(tokens)[:, None]
        return factor * self.attend(heads, heads, heads)[:, 0]


@pytest.fixture(autouse=True)
def fresh_torch():
    torch._dynamo.reset()
    with torch.no_grad():
        yield
    torch._dynamo.reset()


class Compiler:
    """A backend that takes a second to compile."""

    def __init__(self, clock, error=None):
        self.clock, self.compiled, self._error = clock, 0, error

    def __call__(self, graph, examples):
        self.compiled += 1
        self.clock.forward(1.0)
        if self._error:
            raise self._error
        return graph.forward


def hosted(error=None):
    clock = StandingClock()
    compiler = Compiler(clock, error)
    return HostedModel("tiny", Network().eval(), clock=clock, backend=compiler), compiler


def tokens(count=5, batch=2):
    return torch.ones(batch, count, WIDTH)


def run(model, *calls, **values):
    """Run calls in one stage and return its span and those inside it."""
    with (
        in_force(values),
        record_pipeline("p") as trace,
        profile_stage("shape_generation"),
        profile_stage("denoise", SpanKind.GPU),
    ):
        results = [model(*args) for args in calls]
    spans = trace.profile.spans[1:]
    return results, spans[0], [span for span in spans[1:] if span.name == "warm_up"]


def test_switched_off_it_runs_plain_and_counts_its_work():
    model, compiler = hosted()
    (result,), span, _ = run(model, (tokens(),))
    assert torch.equal(result, model.module(tokens()))
    assert compiler.compiled == 0
    assert span.attributes["flop"] == 2 * 2 * 5 * WIDTH**2 + 2 * 2 * 2 * 5 * 5 * WIDTH
    assert span.attributes["calls"] == 1
    assert span.attributes["facts"]["compiled"] == {
        "is_on": False, "graph_breaks": None, "recompiles": None, "recompile_s": None,
        "compile_s": None,
    }  # fmt: skip


def test_compiling_is_a_stage_of_its_own_and_done_once():
    model, compiler = hosted()
    for expected in (1, 0):
        (first, second), span, warm_ups = run(model, (tokens(),), (tokens(),), compile_models=True)
        assert torch.equal(first, second)
        torch.testing.assert_close(first, model.module(tokens()))
        assert len(warm_ups) == expected
        assert span.attributes["calls"] == 2
        assert span.attributes["facts"]["compiled"] == {
            "is_on": True, "graph_breaks": 0, "recompiles": 0, "recompile_s": 0.0,
            "compile_s": 1.0,
        }  # fmt: skip
    assert compiler.compiled == 1
    assert warm_ups == []


def test_what_compiles_again_is_told_to_the_stage_that_caused_it():
    model, _ = hosted()
    run(model, (tokens(),), compile_models=True)
    _, span, warm_ups = run(model, (tokens(),), (tokens(7),), compile_models=True)
    fact = span.attributes["facts"]["compiled"]
    assert (fact["recompiles"], fact["recompile_s"]) == (1, 1.0)
    assert [one.kind for one in warm_ups] == [SpanKind.LOAD]
    _, span, _ = run(model, (tokens(7),), compile_models=True)
    assert span.attributes["facts"]["compiled"]["recompiles"] == 0, "of this run alone"


def test_compiled_code_follows_the_attention_that_is_asked_for():
    model, compiler = hosted()
    for value, expected in (("auto", 1), ("math", 1), ("math", 0), ("auto", 0)):
        _, _, warm_ups = run(model, (tokens(),), compile_models=True, attention=value)
        assert len(warm_ups) == expected
    assert compiler.compiled == 2


def test_the_switch_goes_both_ways():
    model, compiler = hosted()
    for is_on in (True, False, True):
        _, span, _ = run(model, (tokens(),), compile_models=is_on)
        assert span.attributes["facts"]["compiled"]["is_on"] is is_on
    assert compiler.compiled == 1


def test_what_cannot_be_compiled_runs_plain():
    model, _ = hosted(ValueError("no such operation"))
    (result,), span, _ = run(model, (tokens(),), compile_models=True)
    assert torch.equal(result, model.module(tokens()))
    assert span.attributes["facts"]["compiled"]["is_on"] is False
    assert "no such operation" in model.state()["reason"]


def test_it_tells_where_and_with_what_it_last_ran():
    model, _ = hosted()
    assert (model.example(), model.stage, model.autocast_dtype) == (None, None, None)
    places = torch.arange(3)
    with torch.autocast("cpu", torch.bfloat16):
        run(model, (tokens(4), places))
    assert model.stage == "shape_generation/denoise"
    assert model.autocast_dtype is torch.bfloat16
    run(model, (tokens(4), places))
    model(tokens(9))  # off the record, as a probe runs it
    assert model.autocast_dtype is None
    (first, second), named = model.example()
    assert (first.shape, first.dtype, named) == ((2, 4, WIDTH), torch.float32, {})
    assert (second.dtype, second.tolist()) == (torch.int64, [0, 0, 0])
    again = model.example()[0][0]
    assert not torch.equal(first, again)
    assert float(first.std()) > 0.1


def test_the_example_is_like_the_largest_call_of_the_stage():
    model, _ = hosted()
    run(model, (tokens(4),), (tokens(7),), (tokens(2),))
    assert model.example()[0][0].shape == (2, 7, WIDTH)
    run(model, (tokens(3),))
    assert model.example()[0][0].shape == (2, 3, WIDTH), "each run of a stage begins anew"


def test_other_arguments_come_back_as_they_were():
    model, _ = hosted()
    with record_pipeline("p"), profile_stage("decode", SpanKind.GPU):
        model(tokens(), None, factor=2.0)
    args, named = model.example()
    assert args[1] is None
    assert named == {"factor": 2.0}
    assert model.stage == "decode"


def test_readers_of_settings_learn_what_a_network_depends_on():
    model, _ = hosted()
    with recorded_reads() as names:
        model(tokens())
    assert names == {"attention", "compile_models"}


def test_the_process_knows_its_networks_while_they_live():
    before = hosted_models()
    first, second = (HostedModel(name, Network(), clock=StandingClock()) for name in "ab")
    assert hosted_models() == [*before, first, second]
    del first
    gc.collect()
    assert hosted_models() == [*before, second]
