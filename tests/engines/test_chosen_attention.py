from __future__ import annotations

import pytest
import torch

from backend.engines import chosen_attention as module
from backend.engines.chosen_attention import chosen_attention
from backend.engines.counted_module import CountedModule
from backend.gpu.attention import AttentionBackend
from backend.gpu.attention_choice import AttentionChoice, AttentionTrial
from backend.profiling.recorder import profile_stage, record_pipeline
from backend.profiling.spans import SpanKind
from backend.runtime_settings import in_force, recorded_reads
from tests.residency.conftest import StandingClock

FLASH, MATH = AttentionBackend.SDPA_FLASH, AttentionBackend.MATH


class Measured:
    """Stands for the measurement: flash takes a second per call, plain products four."""

    def __init__(self, error=None, times=None):
        self.shapes, self._error = [], error
        self._times = times or {FLASH: 1.0, MATH: 4.0}

    def __call__(self, shape, dtype, device, clock):
        self.shapes.append(shape)
        if self._error:
            raise self._error
        table = tuple(AttentionTrial(one, time_s, 0.0) for one, time_s in self._times.items())
        return AttentionChoice(min(self._times, key=self._times.get), table)


@pytest.fixture
def measured(monkeypatch):
    return use(monkeypatch, Measured())


def use(monkeypatch, measured):
    monkeypatch.setattr(module, "choose_attention", measured)
    monkeypatch.setattr(module, "_choices", {})
    return measured


def tensors(tokens=8, context_tokens=8, batch=1):
    torch.manual_seed(0)
    return (torch.randn(batch, 2, count, 16) for count in (tokens, context_tokens, context_tokens))


def exact(q, k, v):
    return ((q @ k.mT) / 4).softmax(-1) @ v


def facts_of(values, calls):
    attend = chosen_attention(StandingClock())
    stage = profile_stage
    with in_force(values), record_pipeline("p") as trace, stage("denoise", SpanKind.GPU):
        for q, k, v in calls:
            torch.testing.assert_close(attend(q, k, v), exact(q, k, v))
    return trace.profile


def test_auto_takes_the_fastest_and_tells_of_it(measured):
    profile = facts_of({}, [tensors(), tensors(), tensors()])
    assert profile.spans[0].attributes["facts"]["attention"] == {
        "backend": "sdpa_flash", "best_backend": "sdpa_flash",
        "now_s": 1.0, "best_s": 1.0, "calls": 3,
    }  # fmt: skip
    assert len(measured.shapes) == 1, "once for each shape"
    loads = [span for span in profile.spans if span.kind is SpanKind.LOAD]
    assert [(span.name, span.parent) for span in loads] == [("warm_up", 1)]


def test_a_named_backend_is_used_and_told_beside_the_best(measured):
    profile = facts_of({"attention": "math"}, [tensors(), tensors()])
    assert profile.spans[0].attributes["facts"]["attention"] == {
        "backend": "math", "best_backend": "sdpa_flash", "now_s": 4.0, "best_s": 1.0, "calls": 2,
    }  # fmt: skip


def test_a_backend_that_does_not_work_here_is_told_as_the_one_that_did(measured):
    profile = facts_of({"attention": "sdpa_efficient"}, [tensors()])
    assert profile.spans[0].attributes["facts"]["attention"]["backend"] == "math"


def test_auto_follows_the_measurement_not_the_order(monkeypatch):
    use(monkeypatch, Measured(times={FLASH: 3.0, MATH: 2.0}))
    profile = facts_of({}, [tensors()])
    assert profile.spans[0].attributes["facts"]["attention"]["backend"] == "math"


def test_of_several_shapes_the_one_that_costs_most_is_told(measured):
    wide = [tensors(64, 64) for _ in range(2)]
    profile = facts_of({}, [*(tensors() for _ in range(3)), *wide])
    assert profile.spans[0].attributes["facts"]["attention"]["calls"] == 3
    assert [shape.tokens for shape in measured.shapes] == [8, 64]


def test_each_run_of_a_stage_counts_for_itself(measured):
    attend = chosen_attention(StandingClock())
    with record_pipeline("p") as trace:
        for count in (2, 3):
            with profile_stage("denoise", SpanKind.GPU):
                for _ in range(count):
                    attend(*tensors())
    told = [span.attributes["facts"] for span in trace.profile.spans if span.name == "denoise"]
    assert [facts["attention"]["calls"] for facts in told] == [2, 3]


def test_without_a_stage_a_named_backend_is_not_measured_against_others(measured):
    attend = chosen_attention(StandingClock())
    with in_force({"attention": "math"}):
        q, k, v = tensors()
        torch.testing.assert_close(attend(q, k, v), exact(q, k, v))
    assert measured.shapes == []


def test_what_cannot_be_measured_runs_all_the_same(monkeypatch):
    use(monkeypatch, Measured(torch.OutOfMemoryError("CUDA out of memory.")))
    profile = facts_of({}, [tensors()])
    fact = profile.spans[0].attributes["facts"]["attention"]
    assert (fact["now_s"], fact["best_s"], fact["best_backend"]) == (None, None, None)
    assert fact["backend"] == "sdpa_flash"


def test_counting_the_work_of_a_network_measures_and_notes_nothing(measured):
    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.attend = chosen_attention(StandingClock())

        def forward(self, q, k, v):
            return self.attend(q, k, v)

    with record_pipeline("p") as trace, profile_stage("denoise", SpanKind.GPU):
        CountedModule(Network())(*tensors())
    attributes = trace.profile.spans[0].attributes
    assert attributes["facts"]["attention"]["calls"] == 1
    assert attributes["flop"] == 2 * 2 * (2 * 8 * 8 * 16)
    assert len(measured.shapes) == 1


def test_a_reader_of_settings_learns_of_it(measured):
    with recorded_reads() as names:
        chosen_attention(StandingClock())(*tensors())
    assert names == {"attention"}


def test_compiled_code_has_no_break_and_follows_what_it_is_told(measured):
    torch._dynamo.reset()
    graphs = []

    def backend(graph, examples):
        graphs.append([str(node.target) for node in graph.graph.nodes])
        return graph.forward

    attend = chosen_attention(StandingClock())
    compiled = torch.compile(lambda q, k, v: attend(q, k, v) * 2, backend=backend, fullgraph=True)
    for value in ("auto", "math", "auto"):
        with in_force({"attention": value}), torch.no_grad():
            attend.follow_settings()
            q, k, v = tensors()
            torch.testing.assert_close(compiled(q, k, v), 2 * exact(q, k, v))
    assert len(graphs) == 2, "one for each value"
    assert measured.shapes == []
    torch._dynamo.reset()
