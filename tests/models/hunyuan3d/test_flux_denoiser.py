from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from backend.gpu.flops import count_work
from backend.models.attention import plain_attention
from backend.models.hunyuan3d.flux_denoiser import FluxDenoiser
from backend.models.hunyuan3d.savings import ALL_SAVINGS, NO_SAVINGS
from tests.models.golden_files import tensors as golden
from tests.models.hunyuan3d.flux_golden import GUIDED, NAMES, PLAIN, config, denoiser

GOLDEN_TOLERANCE = 2e-5  # published for these files: float32 on another build of torch
# Processors differ in the last place of exp, and a guidance of 7.5 multiplies that by 7,500.
GUIDED_TOLERANCE = 5e-5
REORDERED = 1e-5  # the same sums in another order; outputs have a standard deviation near 1
TIMES = torch.tensor([0.0, 0.3671, 0.9])
STEPS_KEPT = replace(NO_SAVINGS, step_invariants=True)
LONE_TOKEN = replace(NO_SAVINGS, lone_blank_token=True)
ALL_WAYS = pytest.mark.parametrize("savings", [ALL_SAVINGS, STEPS_KEPT, LONE_TOKEN, NO_SAVINGS])
EVERY_NETWORK = pytest.mark.parametrize("name", NAMES)


def near(actual, expected, tolerance):
    torch.testing.assert_close(actual, expected, atol=tolerance, rtol=0)


def tolerance_of(name):
    return GUIDED_TOLERANCE if name == GUIDED else GOLDEN_TOLERANCE


def inputs(name):
    tensors = golden(name)
    guidance = (
        tensors["in.guidance"] if name == GUIDED else None
    )  # the file of the other has one too
    return tensors["in.x"], tensors["in.t"], tensors["in.cond"], guidance


def scale_of(name):
    return 5.0 if name == GUIDED else None


def plainly(net, latents, context, step, scale):
    """Ask for one step as the paper has it, with nothing prepared."""
    rows = torch.ones(len(latents))
    guidance = None if scale is None else rows * scale
    return net.velocity(latents, rows * TIMES[step], context, guidance)


@EVERY_NETWORK
def test_velocity_is_that_of_the_published_network(name):
    latents, times, context, guidance = inputs(name)
    near(
        denoiser(name).velocity(latents, times, context, guidance),
        golden(name)["out"],
        tolerance_of(name),
    )


@EVERY_NETWORK
def test_every_stage_on_the_way_is_that_of_the_published_network(name):
    net, tensors, seen = denoiser(name), golden(name), {}
    net.double_blocks[0].register_forward_hook(lambda block, args, result: seen.update(out=result))
    latents, times, context, guidance = inputs(name)
    net.velocity(latents, times, context, guidance)
    stages = {
        "mid.vec": net.modulations.embedding(times, guidance),
        "mid.double0.latent": seen["out"][0],
        "mid.double0.cond": seen["out"][1],
    }
    assert stages.keys() == {key for key in tensors if key.startswith("mid.")}
    for key, stage in stages.items():
        near(stage, tensors[key], tolerance_of(name))


@ALL_WAYS
@EVERY_NETWORK
def test_a_prepared_step_is_the_plain_forward(name, savings):
    net, (latents, _, context, _) = denoiser(name), inputs(name)
    prepared = net.prepare(context, TIMES, scale_of(name), savings)
    for step in range(len(TIMES)):
        expected = plainly(net, latents, context, step, scale_of(name))
        near(net(latents, prepared, step), expected, REORDERED)


@ALL_WAYS
@EVERY_NETWORK
@pytest.mark.parametrize("tokens", [1, 7, 1370])
def test_a_blank_step_is_the_plain_forward_over_zeros(name, savings, tokens):
    net, (latents, _, context, _) = denoiser(name), inputs(name)
    context = context[:, :1].expand(-1, tokens, -1)
    prepared = net.prepare_blank(context, TIMES, scale_of(name), savings)
    expected = plainly(net, latents, torch.zeros_like(context), 1, scale_of(name))
    near(net(latents, prepared, 1), expected, REORDERED)


def test_a_blank_step_runs_over_one_token_only_when_told_to():
    net, (latents, _, context, _) = denoiser(PLAIN), inputs(PLAIN)
    lone = net.prepare_blank(context, TIMES, savings=LONE_TOKEN)
    full = net.prepare_blank(context, TIMES, savings=STEPS_KEPT)
    assert (lone.context.shape[1], full.context.shape[1]) == (1, context.shape[1])
    assert not torch.allclose(net(latents, replace(lone, raised=None), 1), net(latents, full, 1))


@ALL_WAYS
def test_a_pair_is_two_calls_in_one(savings):
    net, (latents, _, context, _) = denoiser(PLAIN), inputs(PLAIN)
    pair = net(torch.cat([latents, latents]), net.prepare_pair(context, TIMES, savings), 2)
    alone = net(latents, net.prepare(context, TIMES, savings=savings), 2)
    blank = net(latents, net.prepare_blank(context, TIMES, savings=savings), 2)
    near(pair, torch.cat([alone, blank]), REORDERED)


def test_modulations_are_not_needed_once_a_schedule_is_prepared():
    net, (latents, _, context, _) = denoiser(GUIDED), inputs(GUIDED)
    prepared = [net.prepare(context, TIMES, 5.0), net.prepare_blank(context, TIMES, 5.0)]
    expected = [net(latents, each, 1) for each in prepared]
    net.modulations.to("meta")
    assert all(
        torch.equal(net(latents, each, 1), one)
        for each, one in zip(prepared, expected, strict=True)
    )
    with pytest.raises((RuntimeError, NotImplementedError)):
        net(latents, net.prepare(context, TIMES, 5.0), 1)


def test_a_step_may_be_a_tensor():
    net, (latents, _, context, _) = denoiser(PLAIN), inputs(PLAIN)
    for savings in (ALL_SAVINGS, NO_SAVINGS):
        prepared = net.prepare(context, TIMES, savings=savings)
        assert torch.equal(net(latents, prepared, torch.tensor([2])), net(latents, prepared, 2))


def test_guidance_is_asked_for_by_the_networks_that_take_it_and_refused_by_the_others():
    latents, times, context, guidance = inputs(GUIDED)
    for savings in (ALL_SAVINGS, NO_SAVINGS):
        with pytest.raises(ValueError, match="needs a guidance input"):
            denoiser(GUIDED).prepare(context, TIMES, savings=savings)
    with pytest.raises(ValueError, match="takes no guidance input"):
        denoiser(PLAIN).velocity(latents, times, context, guidance)


@pytest.mark.parametrize(
    # about three times what rounding the weights alone does; a time or guidance of 16 bits gives
    # 0.026 and 1.56
    ("dtype", "worst", "mean"),
    [(torch.float16, 0.004, 9e-4), (torch.bfloat16, 0.027, 7e-3)],
)
@EVERY_NETWORK
def test_weights_of_16_bits_stay_near_the_published_result(name, dtype, worst, mean):
    latents, times, context, guidance = inputs(name)
    net = denoiser(name, dtype)
    result = net.velocity(latents.to(dtype), times, context.to(dtype), guidance)
    error = (result.float() - golden(name)["out"]).abs()
    assert result.dtype is dtype
    assert error.max() < worst
    assert error.mean() < mean


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_lone_token_of_16_bits_is_as_good_as_many(dtype):
    latents, _, context, _ = inputs(PLAIN)
    exact, net = denoiser(PLAIN), denoiser(PLAIN, dtype)
    zeros = torch.zeros_like(context[:, :1].expand(-1, 1370, -1))
    expected = plainly(exact, latents, zeros, 1, None)
    errors = [
        net(latents.to(dtype), net.prepare_blank(zeros.to(dtype), TIMES, savings=savings), 1)
        .sub(expected)
        .abs()
        .mean()
        for savings in (LONE_TOKEN, NO_SAVINGS)
    ]
    assert errors[0] < 1.5 * errors[1]


def test_a_step_can_be_compiled_whole_and_asks_the_device_nothing():
    net, (latents, _, context, _) = denoiser(GUIDED), inputs(GUIDED)
    torch.compiler.reset()
    compiled = torch.compile(net, fullgraph=True, backend="eager")
    with torch.no_grad():
        for prepare in (net.prepare, net.prepare_blank):
            prepared = prepare(context, TIMES, 5.0)
            step = torch.tensor([1])
            near(compiled(latents, prepared, step), net(latents, prepared, 1), REORDERED)


def test_attention_is_the_one_that_was_given():
    calls = []

    def attend(q, k, v, scale=None):
        calls.append((q.shape[-1], q.shape[2], k.shape[2], scale))
        return plain_attention(q, k, v, scale)

    net = FluxDenoiser(config(PLAIN), attend)
    latents, _, context, _ = inputs(PLAIN)
    net(latents, net.prepare(context, TIMES), 0)
    net(latents, net.prepare_blank(context, TIMES), 0)
    assert calls == [(16, 19, 19, None)] * 5 + [(24, 13, 13, 16**-0.5)] * 5


def test_the_work_of_a_prepared_call_can_be_counted():
    network = denoiser(PLAIN)
    given = golden(PLAIN)
    prepared = network.prepare(given["in.cond"], given["in.t"])
    blank = network.prepare_blank(given["in.cond"], given["in.t"])
    works = [
        count_work(network, given["in.x"], each, torch.tensor([0])) for each in (prepared, blank)
    ]
    assert works[0] is not None
    assert works[1] is not None
    assert works[0].flop > works[1].flop > 0
