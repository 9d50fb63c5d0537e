"""Networks of sizes that nobody recorded, beside what their formulas say."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from backend.models.xpart import denoiser_weights, point_set_weights
from backend.models.xpart.denoiser import PartDenoiser
from backend.models.xpart.denoiser_config import PartDenoiserConfig
from backend.models.xpart.part_block import BlockWay
from backend.models.xpart.point_set_config import PointSetConfig
from backend.models.xpart.point_set_encoder import PointSetEncoder, chosen_points, surface_order
from bench.parity.building import built
from tests.models.hunyuan3d import written_out
from tests.models.hunyuan3d.test_other_sizes import drawn
from tests.models.hunyuan3d.written_out import Written, gelu

DENOISER = {
    "in_channels": 6, "hidden_size": 16, "num_heads": 2, "depth": 5, "encoder_hidden_dim": 10,
    "encoder_hidden2_dim": 7, "num_moe_layers": 2, "num_experts": 5, "moe_top_k": 2,
    "valid_num": 4, "qkv_bias": False, "qk_norm": True, "qk_norm_type": "rms",
}  # fmt: skip
ENCODER = {
    "num_latents": 6, "width": 24, "heads": 3, "num_encoder_layers": 1, "num_freqs": 5,
    "include_pi": False, "qkv_bias": False, "qk_norm": True, "point_feats": 4,
    "downsample_ratio": 4,
}  # fmt: skip


def part_velocity(weights, heads, top, x, time, whole, own, rows) -> Tensor:
    """Section 5 of the description."""
    w, skips = Written(weights), []
    tokens = w.linear("x_embedder", x) + weights["part_embed"][rows][:, None]
    half = tokens.shape[-1] // 2
    angles = torch.stack([time * 10000 ** (-i / half) for i in range(half)])
    waves = torch.cat([torch.sin(angles), torch.cos(angles)])
    told = w.linear("t_embedder.mlp.2", gelu(w.linear("t_embedder.mlp.0", waves)))
    tokens = torch.cat([told.expand(len(x), 1, -1), tokens], dim=1)
    depth = sum(name.endswith(".norm2_2.bias") for name in weights)
    for number in range(depth):
        block = f"blocks.{number}"
        if number > depth // 2:
            both = torch.cat([skips.pop(), tokens], dim=-1)
            tokens = w.norm(f"{block}.skip_norm", w.linear(f"{block}.skip_linear", both))
        asking = w.norm(f"{block}.norm1", tokens)
        if number % 2:
            asking = asking.reshape(1, -1, asking.shape[-1])
        mixed = written_out._self(w, f"{block}.attn1", heads, asking)
        tokens = tokens + mixed.reshape(tokens.shape)
        at_whole, at_own = w.norm(f"{block}.norm2", tokens), w.norm(f"{block}.norm2_2", tokens)
        tokens = (
            tokens
            + written_out._cross(w, f"{block}.attn2", heads, at_whole, whole)
            + written_out._cross(w, f"{block}.attn2_2", heads, at_own, own)
        )
        normed = w.norm(f"{block}.norm3", tokens)
        if w.has(f"{block}.moe.gate.weight"):
            tokens = tokens + written_out._mixture(w, f"{block}.moe", top, normed)
        else:
            inner = gelu(w.linear(f"{block}.mlp.fc1", normed))
            tokens = tokens + w.linear(f"{block}.mlp.fc2", inner)
        if number < depth // 2:
            skips.append(tokens)
    return w.linear("final_layer.linear", w.norm("final_layer.norm_final", tokens)[:, 1:])


@pytest.mark.parametrize("way", [BlockWay(), BlockWay(sorted_experts=False, parts_per_call=2)])
@pytest.mark.parametrize(
    ("parts", "tokens", "changed"),
    [
        (1, 9, {}),
        (5, 1, {"depth": 4}),
        (3, 4, {"depth": 1, "num_moe_layers": 0}),
        (2, 3, {"depth": 3, "num_moe_layers": 3, "num_experts": 2, "num_heads": 1}),
    ],
)
def test_velocities_are_what_formulas_say(parts, tokens, changed, way):
    params = {**DENOISER, **changed}
    config = PartDenoiserConfig.from_upstream(params)
    weights = drawn(denoiser_weights.upstream_shapes(config))
    network = built(PartDenoiser, config, denoiser_weights.fold(weights, config))
    draw = torch.Generator().manual_seed(parts)
    x = torch.randn(parts, tokens, 6, generator=draw)
    whole = torch.randn(1, 8, 10, generator=draw)
    own = torch.randn(parts, 5, 7, generator=draw)
    rows, time = torch.arange(parts) % 4, torch.tensor([0.0, 0.73])
    prepared = network.prepare(whole, own, time, rows, keys_for_blocks=2, way=way)
    expected = part_velocity(
        weights,
        params["num_heads"],
        params["moe_top_k"],
        x,
        time[1],
        whole.expand(parts, -1, -1),
        own,
        rows,
    )
    found = network(x, prepared, torch.tensor([1]))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def surface_tokens(weights, heads, octaves, surface, candidates, chosen) -> Tensor:
    """Section 6 of the description, for one surface."""
    w, block = Written(weights), "encoder.cross_attn"

    def features(points):
        angles = torch.stack([points[:, axis] * f for axis in range(3) for f in octaves], dim=-1)
        told = [points[:, :3], torch.sin(angles), torch.cos(angles), points[:, 3:]]
        return w.linear("encoder.input_proj", torch.cat(told, dim=-1))[None]

    def mixed(name, queries, pairs):
        heads_of = []
        for q, (k, v) in zip(queries.chunk(heads, dim=-1), pairs, strict=True):
            q = w.head_norm(f"{name}.attention.q_norm", q)
            heads_of.append(written_out.attended(q, w.head_norm(f"{name}.attention.k_norm", k), v))
        return w.linear(f"{name}.c_proj", torch.cat(heads_of, dim=-1))

    def fed(name, h):
        return w.linear(f"{name}.c_proj", gelu(w.linear(f"{name}.c_fc", h)))

    h = features(surface[chosen])
    seen = w.linear(f"{block}.attn.c_kv", w.norm(f"{block}.ln_2", features(surface[candidates])))
    queries = w.linear(f"{block}.attn.c_q", w.norm(f"{block}.ln_1", h))
    h = h + mixed(f"{block}.attn", queries, [y.chunk(2, dim=-1) for y in seen.chunk(heads, -1)])
    h = h + fed(f"{block}.mlp", w.norm(f"{block}.ln_3", h))
    number = 0
    while w.has(f"encoder.self_attn.resblocks.{number}.ln_1.weight"):
        block = f"encoder.self_attn.resblocks.{number}"
        y = w.linear(f"{block}.attn.c_qkv", w.norm(f"{block}.ln_1", h)).chunk(heads, dim=-1)
        q, *pairs = zip(*(part.chunk(3, dim=-1) for part in y), strict=True)
        h = h + mixed(f"{block}.attn", torch.cat(q, dim=-1), list(zip(*pairs, strict=True)))
        h = h + fed(f"{block}.mlp", w.norm(f"{block}.ln_2", h))
        number += 1
    return w.norm("encoder.ln_post", h, epsilon=1e-5)[0]


@pytest.mark.parametrize(
    ("points", "changed"),
    [
        (24, {}),
        (50, {"num_encoder_layers": 2, "num_freqs": 8}),
        (40, {"num_latents": 1, "heads": 1, "num_encoder_layers": 0, "point_feats": 3}),
        (20, {"qk_norm": False, "downsample_ratio": 3}),
    ],
)
def test_tokens_of_surfaces_are_what_formulas_say(points, changed):
    params = {**ENCODER, **changed}
    config = PointSetConfig.from_upstream(params)
    weights = drawn(point_set_weights.upstream_shapes(config))
    network = built(PointSetEncoder, config, point_set_weights.fold(weights, config))
    draw = torch.Generator().manual_seed(points)
    surfaces = torch.randn(2, points, 3 + params["point_feats"], generator=draw)
    order = surface_order(1, points)
    chosen = chosen_points(surfaces, order, config)
    candidates = order[: params["num_latents"] * params["downsample_ratio"]]
    octaves = [2.0**power for power in range(params["num_freqs"])]
    found = network(surfaces, chosen, order)
    for tokens, surface, own in zip(found, surfaces, chosen, strict=True):
        expected = surface_tokens(weights, params["heads"], octaves, surface, candidates, own)
        torch.testing.assert_close(tokens, expected, rtol=1e-4, atol=1e-5)
