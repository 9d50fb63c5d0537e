"""The networks written out from their formulas, on published names and with loops over heads.

Slow and without anything shared with ``backend.models``, so that both cannot be wrong alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Written:
    """Weights by published name, some of which may be absent."""

    weights: Weights

    def has(self, name: str) -> bool:
        return name in self.weights

    def linear(self, name: str, x: Tensor) -> Tensor:
        result = x @ self.weights[f"{name}.weight"].T
        return result + self.weights[f"{name}.bias"] if self.has(f"{name}.bias") else result

    def norm(self, name: str, x: Tensor, epsilon: float = 1e-6) -> Tensor:
        return normal(x, epsilon) * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def head_norm(self, name: str, x: Tensor) -> Tensor:
        """Layer norm if there is a bias, root mean square if not, nothing without weights."""
        if self.has(f"{name}.bias"):
            return self.norm(name, x)
        return rms(x) * self.weights[f"{name}.weight"] if self.has(f"{name}.weight") else x


def normal(x: Tensor, epsilon: float = 1e-6) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / ((centred**2).mean(-1, keepdim=True) + epsilon).sqrt()


def rms(x: Tensor) -> Tensor:
    return x / ((x**2).mean(-1, keepdim=True) + 1e-6).sqrt()


def gelu(x: Tensor) -> Tensor:
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def gelu_tanh(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def silu(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-x))


def attended(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention of one head, (batch, tokens, head_width) each."""
    return torch.softmax(q @ k.transpose(1, 2) / math.sqrt(q.shape[-1]), dim=-1) @ v


def flux_velocity(
    weights: Weights, heads: int, x: Tensor, t: Tensor, context: Tensor, guidance: Tensor | None
) -> Tensor:
    """Section 4 of the description of the shape models."""
    w = Written(weights)
    vector = _embedded(w, "time_in", t)
    if guidance is not None:
        vector = vector + _embedded(w, "guidance_in", guidance)
    latents, tokens = w.linear("latent_in", x), w.linear("cond_in", context)
    number = 0
    while w.has(f"double_blocks.{number}.img_mod.lin.weight"):
        tokens, latents = _double(w, f"double_blocks.{number}", heads, tokens, latents, vector)
        number += 1
    joint, number = torch.cat([tokens, latents], dim=1), 0
    while w.has(f"single_blocks.{number}.linear1.weight"):
        joint = _single(w, f"single_blocks.{number}", heads, joint, vector)
        number += 1
    shift, scale = w.linear("final_layer.adaLN_modulation.1", silu(vector))[:, None].chunk(2, -1)
    latents = joint[:, context.shape[1] :]
    return w.linear("final_layer.linear", (1 + scale) * normal(latents) + shift)


def _embedded(w: Written, name: str, numbers: Tensor) -> Tensor:
    waves = [1000 * numbers * 1000 ** (-i / 128) for i in range(128)]
    phases = torch.stack(waves, dim=1)
    both = torch.cat([torch.cos(phases), torch.sin(phases)], dim=1)
    return w.linear(f"{name}.out_layer", silu(w.linear(f"{name}.in_layer", both)))


def _joint_heads(w: Written, qkv: Tensor, norm: str, heads: int) -> list[tuple[Tensor, ...]]:
    """Queries, keys and values of each head: all queries lie first."""
    q, k, v = (part.chunk(heads, -1) for part in qkv.chunk(3, -1))
    scales = w.weights[f"{norm}.query_norm.scale"], w.weights[f"{norm}.key_norm.scale"]
    return [(rms(q[h]) * scales[0], rms(k[h]) * scales[1], v[h]) for h in range(heads)]


def _double(
    w: Written, block: str, heads: int, tokens: Tensor, latents: Tensor, vector: Tensor
) -> tuple[Tensor, Tensor]:
    streams = {"txt": tokens, "img": latents}
    told, of_heads = {}, {}
    for name, stream in streams.items():
        told[name] = w.linear(f"{block}.{name}_mod.lin", silu(vector))[:, None].chunk(6, -1)
        changed = (1 + told[name][1]) * normal(stream) + told[name][0]
        qkv = w.linear(f"{block}.{name}_attn.qkv", changed)
        of_heads[name] = _joint_heads(w, qkv, f"{block}.{name}_attn.norm", heads)
    mixed = []
    for pair in zip(of_heads["txt"], of_heads["img"], strict=True):
        q, k, v = (torch.cat(both, dim=1) for both in zip(*pair, strict=True))
        mixed.append(attended(q, k, v))
    parts = torch.cat(mixed, dim=-1).split([tokens.shape[1], latents.shape[1]], dim=1)
    results = []
    for (name, stream), part in zip(streams.items(), parts, strict=True):
        _, _, gate, shift, scale, gate2 = told[name]
        changed = stream + gate * w.linear(f"{block}.{name}_attn.proj", part)
        inner = gelu_tanh(w.linear(f"{block}.{name}_mlp.0", (1 + scale) * normal(changed) + shift))
        results.append(changed + gate2 * w.linear(f"{block}.{name}_mlp.2", inner))
    return results[0], results[1]


def _single(w: Written, block: str, heads: int, joint: Tensor, vector: Tensor) -> Tensor:
    shift, scale, gate = w.linear(f"{block}.modulation.lin", silu(vector))[:, None].chunk(3, -1)
    y = w.linear(f"{block}.linear1", (1 + scale) * normal(joint) + shift)
    qkv, hidden = y.split([3 * joint.shape[-1], y.shape[-1] - 3 * joint.shape[-1]], dim=-1)
    mixed = [attended(*head) for head in _joint_heads(w, qkv, f"{block}.norm", heads)]
    return joint + gate * w.linear(f"{block}.linear2", torch.cat([*mixed, gelu_tanh(hidden)], -1))


def plain_velocity(
    weights: Weights, heads: int, top: int, x: Tensor, t: Tensor, context: Tensor
) -> Tensor:
    """Section 5 of the description; heads go head by head, each with its query, key and value."""
    w = Written(weights)
    tokens = w.linear("x_embedder", x)
    half = tokens.shape[-1] // 2
    angles = torch.stack([t * 10000 ** (-i / half) for i in range(half)], dim=1)
    waves = torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)
    time = w.linear("t_embedder.mlp.2", gelu(w.linear("t_embedder.mlp.0", waves)))
    tokens = torch.cat([time[:, None], tokens], dim=1)
    depth, stack = 0, []
    while w.has(f"blocks.{depth}.norm1.weight"):
        depth += 1
    for number in range(depth):
        block = f"blocks.{number}"
        if number > depth // 2:
            skipped = torch.cat([stack.pop(), tokens], dim=-1)
            tokens = w.norm(f"{block}.skip_norm", w.linear(f"{block}.skip_linear", skipped))
        tokens = tokens + _self(w, f"{block}.attn1", heads, w.norm(f"{block}.norm1", tokens))
        asking = w.norm(f"{block}.norm2", tokens)
        tokens = tokens + _cross(w, f"{block}.attn2", heads, asking, context)
        normed = w.norm(f"{block}.norm3", tokens)
        if w.has(f"{block}.moe.gate.weight"):
            tokens = tokens + _mixture(w, f"{block}.moe", top, normed)
        else:
            tokens = tokens + w.linear(
                f"{block}.mlp.fc2", gelu(w.linear(f"{block}.mlp.fc1", normed))
            )
        if number < depth // 2:
            stack.append(tokens)
    return w.linear("final_layer.linear", w.norm("final_layer.norm_final", tokens)[:, 1:])


def _self(w: Written, name: str, heads: int, x: Tensor) -> Tensor:
    y = torch.cat([w.linear(f"{name}.to_{part}", x) for part in "qkv"], dim=-1)
    mixed = []
    for head in y.chunk(heads, dim=-1):
        q, k, v = head.chunk(3, dim=-1)
        q, k = w.head_norm(f"{name}.q_norm", q), w.head_norm(f"{name}.k_norm", k)
        mixed.append(attended(q, k, v))
    return w.linear(f"{name}.out_proj", torch.cat(mixed, dim=-1))


def _cross(w: Written, name: str, heads: int, x: Tensor, context: Tensor) -> Tensor:
    queries = w.linear(f"{name}.to_q", x).chunk(heads, dim=-1)
    y = torch.cat([w.linear(f"{name}.to_{part}", context) for part in "kv"], dim=-1)
    mixed = []
    for q, head in zip(queries, y.chunk(heads, dim=-1), strict=True):
        k, v = head.chunk(2, dim=-1)
        q, k = w.head_norm(f"{name}.q_norm", q), w.head_norm(f"{name}.k_norm", k)
        mixed.append(attended(q, k, v))
    return w.linear(f"{name}.out_proj", torch.cat(mixed, dim=-1))


def _mixture(w: Written, name: str, top: int, x: Tensor) -> Tensor:
    shares = torch.softmax(x @ w.weights[f"{name}.gate.weight"].T, dim=-1)
    least = shares.topk(top).values[..., -1:]
    result = _expert(w, f"{name}.shared_experts", x)
    for number in range(shares.shape[-1]):
        share = shares[..., number : number + 1]
        result = result + torch.where(share >= least, share, 0) * _expert(
            w, f"{name}.experts.{number}", x
        )
    return result


def _expert(w: Written, name: str, x: Tensor) -> Tensor:
    return w.linear(f"{name}.net.2", gelu(w.linear(f"{name}.net.0.proj", x)))


def shape_tokens(weights: Weights, heads: int, scale_factor: float, z: Tensor) -> Tensor:
    """Section 7 of the description."""
    w, number = Written(weights), 0
    h = w.linear("post_kl", z / scale_factor)
    while w.has(f"transformer.resblocks.{number}.ln_1.weight"):
        block = f"transformer.resblocks.{number}"
        mixed = []
        y = w.linear(f"{block}.attn.c_qkv", w.norm(f"{block}.ln_1", h))
        for head in y.chunk(heads, dim=-1):
            q, k, v = head.chunk(3, dim=-1)
            q = w.head_norm(f"{block}.attn.attention.q_norm", q)
            mixed.append(attended(q, w.head_norm(f"{block}.attn.attention.k_norm", k), v))
        h = h + w.linear(f"{block}.attn.c_proj", torch.cat(mixed, dim=-1))
        inner = gelu(w.linear(f"{block}.mlp.c_fc", w.norm(f"{block}.ln_2", h)))
        h = h + w.linear(f"{block}.mlp.c_proj", inner)
        number += 1
    return h


def insideness(
    weights: Weights, heads: int, octaves: list[float], tokens: Tensor, points: Tensor
) -> Tensor:
    """Section 8 of the description; ``heads`` are those of the geometry decoder."""
    w, block = Written(weights), "geo_decoder.cross_attn_decoder"
    angles = torch.stack([points[..., axis] * f for axis in range(3) for f in octaves], dim=-1)
    features = torch.cat([points, torch.sin(angles), torch.cos(angles)], dim=-1)
    h = w.linear("geo_decoder.query_proj", features)
    if w.has("geo_decoder.latents_proj.weight"):
        tokens = w.linear("geo_decoder.latents_proj", tokens)
    queries = w.linear(f"{block}.attn.c_q", w.norm(f"{block}.ln_1", h)).chunk(heads, dim=-1)
    y = w.linear(f"{block}.attn.c_kv", w.norm(f"{block}.ln_2", tokens))
    mixed = []
    for q, head in zip(queries, y.chunk(heads, dim=-1), strict=True):
        k, v = head.chunk(2, dim=-1)
        q = w.head_norm(f"{block}.attn.attention.q_norm", q)
        mixed.append(attended(q, w.head_norm(f"{block}.attn.attention.k_norm", k), v))
    h = h + w.linear(f"{block}.attn.c_proj", torch.cat(mixed, dim=-1))
    inner = gelu(w.linear(f"{block}.mlp.c_fc", w.norm(f"{block}.ln_3", h)))
    h = h + w.linear(f"{block}.mlp.c_proj", inner)
    if w.has("geo_decoder.ln_post.weight"):
        h = w.norm("geo_decoder.ln_post", h, epsilon=1e-5)
    return w.linear("geo_decoder.output_proj", h)[..., 0]


def described(weights: Weights, heads: int, pixels: Tensor) -> Tensor:
    """Section 2 of the description: DINOv2 on normalised pixels, patch by patch."""
    w = Written(weights)
    kernel = w.weights["embeddings.patch_embeddings.projection.weight"]
    side = kernel.shape[-1]
    patches = [
        (pixels[:, None, :, y : y + side, x : x + side] * kernel).sum((2, 3, 4))
        for y in range(0, pixels.shape[2], side)
        for x in range(0, pixels.shape[3], side)
    ]
    bias = w.weights["embeddings.patch_embeddings.projection.bias"]
    first = w.weights["embeddings.cls_token"].expand(len(pixels), -1, -1)
    h = torch.cat([first, torch.stack(patches, dim=1) + bias], dim=1)
    h, number = h + w.weights["embeddings.position_embeddings"], 0
    while w.has(f"encoder.layer.{number}.norm1.weight"):
        layer = f"encoder.layer.{number}"
        normed = w.norm(f"{layer}.norm1", h)
        q, k, v = (
            w.linear(f"{layer}.attention.attention.{part}", normed).chunk(heads, dim=-1)
            for part in ("query", "key", "value")
        )
        mixed = torch.cat([attended(*head) for head in zip(q, k, v, strict=True)], dim=-1)
        scale = w.weights[f"{layer}.layer_scale1.lambda1"]
        h = h + scale * w.linear(f"{layer}.attention.output.dense", mixed)
        h = h + w.weights[f"{layer}.layer_scale2.lambda1"] * _dino_mlp(w, layer, h)
        number += 1
    return w.norm("layernorm", h)


def _dino_mlp(w: Written, layer: str, h: Tensor) -> Tensor:
    normed = w.norm(f"{layer}.norm2", h)
    if w.has(f"{layer}.mlp.fc1.weight"):
        return w.linear(f"{layer}.mlp.fc2", gelu(w.linear(f"{layer}.mlp.fc1", normed)))
    a, b = w.linear(f"{layer}.mlp.weights_in", normed).chunk(2, dim=-1)
    return w.linear(f"{layer}.mlp.weights_out", silu(a) * b)
