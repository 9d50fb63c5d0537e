from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from backend.models.hunyuan3d import plain_weights
from backend.models.triposg.denoiser_weights import (
    TRIPOSG,
    fold,
    published_name,
    triposg_config,
    upstream_shapes,
)
from tests.models.hunyuan3d.plain_golden import built

SMALL = triposg_config(
    {
        "in_channels": 4,
        "cross_attention_dim": 12,
        "width": 16,
        "num_attention_heads": 2,
        "num_layers": 5,
    }
)
BYTES_OF_FILE, WIDTH, DEPTH = 5.76e9, 2048, 21


@pytest.fixture
def state():
    torch.manual_seed(0)
    return {name: 0.3 * torch.randn(shape) for name, shape in upstream_shapes(SMALL).items()}


def test_renamed_weights_make_the_same_network(state):
    """The order of times and the sign are the only difference to Hunyuan3D 2.1 without experts."""
    like_hunyuan = replace(SMALL, time_of_noise=0.0, time_of_data=1.0, velocity_sign=1)
    names = plain_weights.upstream_shapes(like_hunyuan)
    same = {name: state[published_name(name)] for name in names}
    ours = built(fold(state, SMALL), SMALL)
    theirs = built(plain_weights.fold(same, like_hunyuan), like_hunyuan)
    latents, context = torch.randn(2, 6, 4), torch.randn(2, 3, 12)
    velocity = ours.velocity(latents, torch.tensor([0.0, 0.75]), context)
    told = torch.tensor([1000.0, 250.0])
    assert torch.equal(velocity, SMALL.velocity_sign * theirs.velocity(latents, told, context))


def test_published_names_are_those_of_the_description(state):
    names = set(state)
    assert {"proj_in.weight", "time_proj.linear_2.bias", "norm_out.weight", "proj_out.bias"} < names
    block = {name.removeprefix("blocks.4.") for name in names if name.startswith("blocks.4.")}
    assert {"attn1.to_out.0.bias", "attn2.norm_k.weight", "ff.net.0.proj.weight"} < block
    assert {"ff.net.2.bias", "skip_linear.weight", "attn2.to_v.weight"} < block
    assert not any("to_q.bias" in name or "moe" in name for name in names)


def test_weights_are_as_many_as_the_published_file_has_room_for():
    """Per block 15 squares of the width in matrices, two more for each skip, eight for time."""
    count = sum(math.prod(shape) for shape in upstream_shapes(TRIPOSG).values())
    assert count == 1_439_556_160
    assert count == pytest.approx((15 * DEPTH + 2 * 10 + 8) * WIDTH**2, rel=1e-3)
    assert 4 * count == pytest.approx(BYTES_OF_FILE, rel=2e-3)


def test_a_missing_weight_is_named_as_published(state):
    del state["blocks.2.ff.net.2.weight"]
    with pytest.raises(KeyError, match=r"blocks\.2\.ff\.net\.2\.weight"):
        fold(state, SMALL)


def test_noise_is_at_the_end_of_its_time():
    assert (TRIPOSG.time_of_noise, TRIPOSG.time_of_data) == (1000.0, 0.0)
    assert TRIPOSG.norm_epsilon == 1e-5
