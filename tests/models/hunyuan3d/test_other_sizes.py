"""Networks of sizes that nobody recorded, beside what their formulas say."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch.nn import functional

from backend.models.hunyuan3d import (
    conditioner,
    flux_weights,
    plain_weights,
    shape_vae_weights,
)
from backend.models.hunyuan3d.conditioner import Conditioner, ConditionerConfig
from backend.models.hunyuan3d.denoiser import Schedule
from backend.models.hunyuan3d.flux_config import FluxConfig
from backend.models.hunyuan3d.flux_denoiser import FluxDenoiser
from backend.models.hunyuan3d.plain_config import PlainConfig
from backend.models.hunyuan3d.plain_denoiser import PlainDenoiser
from backend.models.hunyuan3d.sampler import Guidance, sample
from backend.models.hunyuan3d.savings import ALL_SAVINGS, NO_SAVINGS
from backend.models.hunyuan3d.shape_vae import ShapeVae
from backend.models.hunyuan3d.shape_vae_config import ShapeVaeConfig
from bench.parity.building import built
from tests.models.hunyuan3d import written_out

FLUX = {
    "in_channels": 6, "context_in_dim": 10, "hidden_size": 24, "num_heads": 3, "depth": 1,
    "depth_single_blocks": 1, "mlp_ratio": 4.0, "qkv_bias": True, "guidance_embed": False,
}  # fmt: skip
PLAIN = {
    "in_channels": 6, "context_dim": 10, "hidden_size": 24, "num_heads": 3, "depth": 3,
    "qk_norm": True, "qk_norm_type": "rms", "qkv_bias": False, "num_moe_layers": 1,
    "num_experts": 3, "moe_top_k": 2,
}  # fmt: skip
VAE = {
    "num_latents": 10, "embed_dim": 6, "width": 48, "heads": 4, "num_decoder_layers": 1,
    "num_freqs": 8, "include_pi": False, "qkv_bias": False, "qk_norm": True, "scale_factor": 0.9,
}  # fmt: skip
DINO = {
    "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 3, "image_size": 42,
    "patch_size": 14, "mlp_ratio": 4, "use_swiglu_ffn": False,
}  # fmt: skip
ROWS, LATENTS, CONTEXT = 3, 11, 5


def drawn(shapes, seed=0):
    """Published weights; of norms near 1, and no bias is zero, so that none can be forgotten."""
    random = torch.Generator().manual_seed(seed)
    made = {}
    for name, shape in shapes.items():
        noise = torch.randn(shape, generator=random)
        is_scale = len(shape) == 1 and name.endswith(("weight", "scale", "lambda1"))
        made[name] = 1 + 0.2 * noise if is_scale else 0.6 * noise / math.sqrt(shape[-1])
    return made


def given(context_channels, *, blank_last):
    random = torch.Generator().manual_seed(5)
    x = torch.randn(ROWS, LATENTS, 6, generator=random)
    context = torch.randn(ROWS, CONTEXT, context_channels, generator=random)
    if blank_last:
        context[-1] = 0
    return x, torch.tensor([0.0, 0.3671, 1.0]), context


def each_row_prepared(network, x, times, context, scales=None, savings=ALL_SAVINGS):
    """Every row as in a job: with its own time, and without a context where that is zeros."""
    rows = []
    for row, time in enumerate(times):
        own = context[row : row + 1]
        prepare = network.prepare if bool(own.any()) else network.prepare_blank
        guidance = None if scales is None else float(scales[row])
        prepared = prepare(own, time[None], guidance, savings)
        rows.append(network(x[row : row + 1], prepared, 0))
    return torch.cat(rows)


def close(actual, expected, tolerance=2e-5):
    assert float(expected.std()) > 0.1  # else anything is close to it
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"depth": 2, "depth_single_blocks": 3, "num_heads": 6},
        {"mlp_ratio": 2.5, "qkv_bias": False, "num_heads": 1},
        {"guidance_embed": True, "depth": 3},
    ],
)
def test_denoisers_of_the_first_family(changes):
    params = FLUX | changes
    config = FluxConfig.from_upstream(params)
    weights = drawn(flux_weights.upstream_shapes(config))
    network = built(FluxDenoiser, config, flux_weights.fold(weights, config))
    x, times, context = given(10, blank_last=True)
    scales = torch.tensor([5.0, 7.5, 0.0]) if config.has_guidance_input else None
    expected = written_out.flux_velocity(weights, config.heads, x, times, context, scales)
    close(network.velocity(x, times, context, scales), expected)
    for savings in (ALL_SAVINGS, NO_SAVINGS):
        close(each_row_prepared(network, x, times, context, scales, savings), expected)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"depth": 4, "num_moe_layers": 2, "moe_top_k": 1},
        {"depth": 7, "num_moe_layers": 4, "moe_top_k": 3, "num_experts": 5, "num_heads": 2},
        {"depth": 1, "num_moe_layers": 0, "num_heads": 4},
        {"depth": 2, "qkv_bias": True, "qk_norm_type": "layer"},
        {"depth": 5, "qkv_bias": True, "qk_norm": False, "num_moe_layers": 5},
    ],
)
def test_denoisers_of_the_second_family(changes):
    params = PLAIN | changes
    config = PlainConfig.from_upstream(params)
    weights = drawn(plain_weights.upstream_shapes(config))
    network = built(PlainDenoiser, config, plain_weights.fold(weights, config))
    x, times, context = given(10, blank_last=True)
    top = params["moe_top_k"]
    expected = written_out.plain_velocity(weights, config.heads, top, x, times, context)
    close(network.velocity(x, times, context), expected)
    for savings in (ALL_SAVINGS, NO_SAVINGS):
        close(each_row_prepared(network, x, times, context, savings=savings), expected)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_freqs": 3, "include_pi": True, "qkv_bias": True, "heads": 2},
        {"qk_norm": False, "num_decoder_layers": 3},
        {"geo_decoder_downsample_ratio": 4, "geo_decoder_mlp_expand_ratio": 2},
        {"geo_decoder_downsample_ratio": 2, "geo_decoder_ln_post": False, "scale_factor": 1.5},
    ],
)
def test_shape_decoders(changes):
    params = VAE | changes
    config = ShapeVaeConfig.from_upstream(params)
    weights = drawn(shape_vae_weights.upstream_shapes(config))
    network = built(ShapeVae, config, shape_vae_weights.fold(weights, config))
    random = torch.Generator().manual_seed(6)
    latents = torch.randn(2, 10, 6, generator=random)
    points = 2.02 * torch.rand(2, 9, 3, generator=random) - 1.01
    tokens = written_out.shape_tokens(weights, params["heads"], params["scale_factor"], latents)
    close(network.transformer(latents), tokens)
    unit = math.pi if params["include_pi"] else 1.0
    octaves = [unit * 2**k for k in range(params["num_freqs"])]
    heads = params["heads"] // params.get("geo_decoder_downsample_ratio", 1)
    expected = written_out.insideness(weights, heads, octaves, tokens, points)
    close(network(latents, points), expected, 5e-5)


@pytest.mark.parametrize("changes", [{}, {"use_swiglu_ffn": True, "num_attention_heads": 2}])
def test_several_views_of_an_object(changes):
    params = DINO | changes
    kwargs = {"config": params, "image_size": params["image_size"]}
    config = ConditionerConfig.from_upstream(
        {"main_image_encoder": {"type": "DinoImageEncoderMV", "kwargs": kwargs}}
    )
    weights = drawn(conditioner.upstream_shapes(config))
    network = built(Conditioner, config, conditioner.fold(weights, config))
    views = (0, 2, 3)
    pictures = 2 * torch.rand(2, len(views), 3, 42, 42) - 1
    parts = []
    for place, view in enumerate(views):
        pixels = (pictures[:, place] + 1) / 2
        mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        colours = [(pixels[:, c] - mean[c]) / std[c] for c in range(3)]
        own = {name.removeprefix(conditioner.PREFIX): each for name, each in weights.items()}
        heads = params["num_attention_heads"]
        tokens = written_out.described(own, heads, torch.stack(colours, dim=1))
        angles = [view * 10000 ** (-j / 12) for j in range(12)]
        side = [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]
        parts.append(tokens + torch.tensor(side))
    close(network(pictures, views), torch.cat(parts, dim=1), 5e-5)


@pytest.mark.parametrize("scale", [0.0, 1.0, 5.0, -1.0])
@pytest.mark.parametrize("is_joint", [False, True])
def test_a_whole_way_with_guidance(scale, is_joint):
    """A schedule whose last step has a length, and two items at once."""
    config = FluxConfig.from_upstream(FLUX)
    weights = drawn(flux_weights.upstream_shapes(config))
    network = built(FluxDenoiser, config, flux_weights.fold(weights, config))
    x, _, context = given(10, blank_last=False)
    sigmas = torch.tensor([0.0, 0.25, 0.5, 1.0])
    expected = x
    for now, after in pairwise(sigmas):
        time = now.expand(ROWS)

        def ask(seen, time=time, latents=expected):
            return written_out.flux_velocity(weights, config.heads, latents, time, seen, None)

        velocity = ask(context)
        if scale >= 0:
            blank = ask(torch.zeros_like(context))
            velocity = blank + scale * (velocity - blank)
        expected = expected + (after - now) * velocity
    guidance = Guidance(scale, joint=is_joint)
    found = sample(network, Schedule(sigmas), x, context, guidance=guidance)
    close(found, expected, 2e-4)


def test_a_network_of_the_released_head_widths_in_half_precision():
    """Only the finished embeddings are rounded: the waves of time are not."""
    config = PlainConfig.from_upstream(PLAIN | {"hidden_size": 256, "num_heads": 2})
    weights = drawn(plain_weights.upstream_shapes(config))
    times = torch.tensor([0.3333])
    x, _, context = given(10, blank_last=False)
    expected = written_out.plain_velocity(weights, 2, 2, x[:1], times, context[:1])
    for dtype, most in ((torch.bfloat16, 0.1), (torch.float16, 0.02)):
        half = {name: each.to(dtype) for name, each in weights.items()}
        network = built(PlainDenoiser, config, plain_weights.fold(half, config))
        found = network.velocity(x[:1].to(dtype), times, context[:1].to(dtype))
        assert found.dtype is dtype
        error = functional.mse_loss(found.float(), expected).sqrt() / expected.std()
        assert float(error) < most
