from __future__ import annotations

import pytest
import torch
from torch import nn

from backend.engines.counted_module import CountedModule
from backend.profiling.recorder import profile_stage, record_pipeline
from backend.profiling.run_summary import run_stages
from backend.profiling.spans import SpanKind

BATCH, TOKENS, WIDTH, HEADS, WIDER, STEPS = 2, 24, 32, 4, 48, 5


@pytest.fixture
def model():
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, WIDER, batch_first=True)
    return nn.TransformerEncoder(layer, num_layers=3, enable_nested_tensor=False).eval()


def forward_flop():
    """Two operations per multiply-add: qkv and output, scores and their use, feed-forward."""
    products = TOKENS * (4 * WIDTH * WIDTH + 2 * WIDTH * WIDER)
    return 3 * BATCH * 2 * (products + 2 * TOKENS * TOKENS * WIDTH)


def stages_of(trace):
    return {stage.name: stage for stage in run_stages(trace.profile)}


def test_a_denoising_loop_on_record_tells_its_operations(model):
    counted, latents = CountedModule(model), torch.rand(BATCH, TOKENS, WIDTH)
    expected = latents
    with torch.inference_mode():
        for _ in range(STEPS):
            expected = expected + model(expected)
        with record_pipeline("p") as trace, profile_stage("shape_generation", SpanKind.GPU):
            for _ in range(STEPS):
                with profile_stage("denoise_step", SpanKind.GPU):
                    latents = latents + counted(latents)
    assert torch.equal(latents, expected)
    stage = stages_of(trace)["shape_generation"]
    assert stage.flop == STEPS * forward_flop()
    assert stage.dtype == "fp32"
    weights = sum(weight.numel() for weight in model.parameters()) * 4
    assert stage.moved_bytes > STEPS * weights
    assert [span.attributes["calls"] for span in trace.profile.spans[1:]] == [1] * STEPS


def test_without_a_stage_the_model_only_runs(model, monkeypatch):
    def count_work(*args, **named):
        raise AssertionError("counted for nobody")

    monkeypatch.setattr("backend.engines.counted_module.count_work", count_work)
    assert CountedModule(model)(torch.rand(1, 4, WIDTH)).shape == (1, 4, WIDTH)


def test_a_model_that_cannot_be_counted_leaves_the_stage_unknown():
    class Branching(nn.Module):
        def forward(self, x):
            return x @ x if x.sum() > 0 else x

    counted, plain = CountedModule(Branching()), CountedModule(nn.Linear(4, 4))
    with record_pipeline("p") as trace:
        with profile_stage("a"):
            plain(torch.ones(4, 4))
            assert counted(torch.ones(4, 4)).sum() == 64
        with profile_stage("b"):
            plain(torch.ones(4, 4))
    assert stages_of(trace)["a"].flop is None
    assert stages_of(trace)["b"].flop == 128


def test_the_compiled_form_runs_and_the_model_is_counted():
    layer, called = nn.Linear(4, 4), []
    counted = CountedModule(layer, run=lambda x: called.append(x) or layer(x))
    with record_pipeline("p") as trace, profile_stage("a"):
        counted(torch.ones(2, 4))
    assert len(called) == 1
    assert stages_of(trace)["a"].flop == 64


def test_what_torch_casts_is_counted_as_what_it_casts_to():
    counted, x = CountedModule(nn.Linear(4, 4)), torch.ones(2, 4)
    with record_pipeline("p") as trace:
        with profile_stage("cast"), torch.autocast("cpu", torch.bfloat16):
            assert counted(x).dtype is torch.bfloat16
        with profile_stage("plain"):
            counted(x)
    assert {name: stage.dtype for name, stage in stages_of(trace).items()} == {
        "cast": "bf16", "plain": "fp32",
    }  # fmt: skip


def test_a_call_that_fails_notes_nothing():
    counted = CountedModule(nn.Linear(4, 4))
    with record_pipeline("p") as trace, profile_stage("a"), pytest.raises(RuntimeError):
        counted(torch.ones(2, 5))
    assert stages_of(trace)["a"].flop is None
    assert trace.profile.spans[0].attributes is None
