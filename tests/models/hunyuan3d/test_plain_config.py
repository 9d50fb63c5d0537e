from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from backend.models.hunyuan3d.plain_config import HUNYUAN3D_21, HeadNorm, PlainConfig
from backend.models.hunyuan3d.plain_denoiser import PlainDenoiser
from backend.models.hunyuan3d.savings import NO_SAVINGS
from tests.models.hunyuan3d.plain_golden import BIASED, RELEASED, params

LATENT_TOKENS, CONTEXT_TOKENS = 4096, 1370


@pytest.fixture(scope="module")
def full_size():
    with torch.device("meta"):
        return PlainDenoiser(HUNYUAN3D_21)


def flop(network, prepare):
    with torch.device("meta"):
        context, times = torch.zeros(1, CONTEXT_TOKENS, 1024), torch.zeros(1)
        conditioning = prepare(context, times)
        with FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, LATENT_TOKENS, 64), conditioning, 0)
    return counter.get_total_flops()


def every_step(network):
    """Prepare nothing, but sort tokens, since no one can tell how many each expert has."""
    savings = replace(NO_SAVINGS, sorted_experts=True)
    return lambda context, times: network.prepare(context, times, savings=savings)


def test_the_released_model_has_as_many_weights_as_published(full_size):
    count = sum(parameter.numel() for parameter in full_size.parameters())
    mixtures = [full_size.blocks[number].perceptron for number in range(15, 21)]
    in_mixtures = sum(weight.numel() for one in mixtures for weight in one.parameters())
    assert (count, in_mixtures) == (3_050_758_720, 1_812_590_592)


def test_operations_of_a_forward_are_as_many_as_published_and_savings_leave_some_out(full_size):
    """The share of the blank branch is the published 7.3 % of a pair of calls."""
    whole = flop(full_size, every_step(full_size))
    assert whole == pytest.approx(18.19e12, rel=3e-4)
    blank = flop(full_size, full_size.prepare_blank)
    kept = flop(full_size, full_size.prepare)
    assert (whole - blank) / (2 * whole) == pytest.approx(0.073, abs=5e-4)
    width, context = 2048, CONTEXT_TOKENS
    time_perceptron = 2 * 2 * width * 4 * width
    assert whole - kept == 21 * 2 * context * 1024 * 2 * width + time_perceptron


def test_a_published_config_is_read():
    read = PlainConfig.from_upstream(params(BIASED))
    assert (read.latent_channels, read.context_channels, read.width, read.heads) == (8, 24, 32, 4)
    assert (read.depth, read.expert_blocks, read.experts, read.experts_per_token) == (5, 2, 4, 2)
    assert (read.head_norm, read.has_qkv_bias) == (HeadNorm.LAYER, True)
    assert PlainConfig.from_upstream(params(RELEASED)).head_norm is HeadNorm.RMS


def test_norms_of_queries_and_keys_can_be_absent():
    read = PlainConfig.from_upstream({**params(RELEASED), "qk_norm": False})
    assert read.head_norm is HeadNorm.NONE
    names = PlainDenoiser(read).state_dict()
    assert not any("q_norm" in name for name in names)


@pytest.mark.parametrize("part", ["with_decoupled_ca", "use_attention_pooling", "use_pos_emb"])
def test_a_part_that_no_released_model_has_is_refused(part):
    with pytest.raises(ValueError, match=part):
        PlainConfig.from_upstream({**params(RELEASED), part: True})


@pytest.mark.parametrize(("entry", "value"), [("num_heads", 5), ("moe_top_k", 9)])
def test_sizes_that_do_not_fit_are_refused(entry, value):
    with pytest.raises(ValueError, match=str(value)):
        PlainConfig.from_upstream({**params(RELEASED), entry: value})


def test_skips_connect_the_first_half_with_the_second():
    blocks = range(HUNYUAN3D_21.depth)
    assert [block for block in blocks if HUNYUAN3D_21.passes_on(block)] == list(range(10))
    assert [block for block in blocks if HUNYUAN3D_21.takes_skip(block)] == list(range(11, 21))
    assert [block for block in blocks if HUNYUAN3D_21.has_experts(block)] == list(range(15, 21))
