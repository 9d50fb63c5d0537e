from __future__ import annotations

from functools import cache

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from backend.models.hunyuan3d.flux_config import (
    HUNYUAN3D_20,
    HUNYUAN3D_20_GUIDED,
    HUNYUAN3D_MINI,
    HUNYUAN3D_MINI_GUIDED,
    FluxConfig,
)
from backend.models.hunyuan3d.flux_denoiser import FluxDenoiser
from backend.models.hunyuan3d.savings import NO_SAVINGS
from tests.models.golden_files import config as params
from tests.models.hunyuan3d.flux_golden import GUIDED, PLAIN

PICTURE_TOKENS = 1370


@cache
def full_size(config):
    with torch.device("meta"):
        return FluxDenoiser(config)


def parameters(module):
    return sum(each.numel() for each in module.parameters())


@cache
def teraflops(net, latent_tokens, blank=False):
    context = torch.zeros(1, PICTURE_TOKENS, 1536, device="meta")
    times = torch.zeros(1, device="meta")
    latents = torch.zeros(1, latent_tokens, 64, device="meta")
    with FlopCounterMode(display=False) as counter:
        if blank:
            net(latents, net.prepare_blank(context, times), 0)
        else:
            net(latents, net.prepare(context, times, savings=NO_SAVINGS), 0)
    return counter.get_total_flops() / 1e12


def test_published_sizes_are_read():
    assert FluxConfig.from_upstream(params(GUIDED)) == FluxConfig(
        latent_channels=8,
        context_channels=24,
        width=64,
        heads=4,
        double_blocks=2,
        single_blocks=3,
        mlp_ratio=4.0,
        has_guidance_input=True,
        has_qkv_bias=True,
    )
    assert not FluxConfig.from_upstream(params(PLAIN)).has_guidance_input


def test_a_missing_size_is_named():
    some = {key: value for key, value in params(PLAIN).items() if key != "hidden_size"}
    with pytest.raises(KeyError, match="hidden_size"):
        FluxConfig.from_upstream(some)


def test_a_width_that_heads_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="width 64 is no multiple of 3 heads"):
        FluxConfig.from_upstream(params(PLAIN) | {"num_heads": 3})


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (HUNYUAN3D_20, 1_113_274_432),
        (HUNYUAN3D_20_GUIDED, 1_114_587_200),
        (HUNYUAN3D_MINI, 559_196_224),
        (HUNYUAN3D_MINI_GUIDED, 559_196_224 + 1_312_768),
    ],
)
def test_published_sizes_have_the_published_number_of_parameters(config, expected):
    assert parameters(full_size(config)) == expected


def test_modulations_are_a_good_quarter_of_the_network():
    net = full_size(HUNYUAN3D_20)
    assert round(parameters(net.modulations) / parameters(net), 2) == 0.27


def test_one_forward_of_the_published_sizes_takes_the_published_work():
    large, small = full_size(HUNYUAN3D_20), full_size(HUNYUAN3D_MINI)
    assert round(teraflops(large, 3072), 2) == 9.25
    assert 1.48 <= teraflops(small, 512) <= 1.49


def test_a_lone_blank_token_saves_more_than_a_third_of_a_pair_of_the_small_size():
    plain = teraflops(full_size(HUNYUAN3D_MINI), 512)
    blank = teraflops(full_size(HUNYUAN3D_MINI), 512, blank=True)
    assert 0.38 < 1 - (plain + blank) / (2 * plain) < 0.39
