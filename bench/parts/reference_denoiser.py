"""The published denoiser of parts: nothing kept from step to step, experts as in training.

Imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from bench.parts.reference_layers import (
    State,
    attention,
    layer_norm,
    linear,
    perceptron,
    rms_norm,
    stacked,
    waves,
)


@dataclass
class OnTheWay:
    """What a pass computes before its result, for those who compare it.

    Parameters
    ----------
    tokens : list of Tensor
        After each block.
    routes : dict of int to tuple of Tensor
        Experts of each token and their weights, by block.
    """

    tokens: list[Tensor] = field(default_factory=list)
    routes: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)


def velocity(
    state: State,
    config: Mapping[str, Any],
    latents: Tensor,
    times: Tensor,
    object_contexts: Tensor,
    part_contexts: Tensor,
    part_rows: Tensor,
    seen: OnTheWay | None = None,
) -> Tensor:
    """Return the velocity of all parts at one step.

    Parameters
    ----------
    latents : Tensor, shape (parts, tokens, channels)
    times : Tensor, shape (parts,)
    object_contexts : Tensor, shape (parts, context_tokens, object_channels)
        The same for every part.
    part_contexts : Tensor, shape (parts, context_tokens, part_channels)
    part_rows : Tensor, shape (parts,) int64

    Source
    ------
    X-Part: High Fidelity and Structure Coherent Shape Decomposition (2025).
    """
    seen = OnTheWay() if seen is None else seen
    depth, width = int(config["depth"]), int(config["hidden_size"])
    embedded = waves(times, width).to(latents.dtype)
    time = stacked(state, "t_embedder.mlp", embedded, (0, 2))[:, None]
    x = linear(state, "x_embedder", latents) + state["part_embed"][part_rows][:, None]
    x = torch.cat([time, x], dim=1)
    passed: list[Tensor] = []
    for number in range(depth):
        name = f"blocks.{number}"
        if number > depth // 2:
            joined = torch.cat([passed.pop(), x], dim=-1)
            skipped = linear(state, f"{name}.skip_linear", joined)
            x = layer_norm(state, f"{name}.skip_norm", skipped)
        x = _block(state, config, number, x, object_contexts, part_contexts, seen)
        if number < depth // 2:
            passed.append(x)
        seen.tokens.append(x)
    x = layer_norm(state, "final_layer.norm_final", x)[:, 1:]
    return linear(state, "final_layer.linear", x)


def _block(
    state: State,
    config: Mapping[str, Any],
    number: int,
    x: Tensor,
    object_contexts: Tensor,
    part_contexts: Tensor,
    seen: OnTheWay,
) -> Tensor:
    name, heads = f"blocks.{number}", int(config["num_heads"])
    is_global = number % 2 == 1
    normed = layer_norm(state, f"{name}.norm1", x)
    rows = normed.flatten(0, 1)[None] if is_global else normed
    x = x + _among(state, f"{name}.attn1", rows, heads).view_as(x)
    on_object = _towards(
        state, f"{name}.attn2", layer_norm(state, f"{name}.norm2", x), object_contexts, heads
    )
    on_part = _towards(
        state, f"{name}.attn2_2", layer_norm(state, f"{name}.norm2_2", x), part_contexts, heads
    )
    x = x + on_object + on_part
    normed = layer_norm(state, f"{name}.norm3", x)
    if number < int(config["depth"]) - int(config["num_moe_layers"]):
        return x + perceptron(state, f"{name}.mlp.fc1", f"{name}.mlp.fc2", normed)
    return x + _experts(state, config, number, normed, seen)


def _among(state: State, name: str, x: Tensor, heads: int) -> Tensor:
    """Attend; heads are cut after queries, keys and values are laid beside each other."""
    each = [linear(state, f"{name}.{part}", x) for part in ("to_q", "to_k", "to_v")]
    q, k, v = torch.cat(each, dim=-1).unflatten(-1, (heads, -1)).chunk(3, dim=-1)
    return _attended(state, name, q, k, v)


def _towards(state: State, name: str, x: Tensor, context: Tensor, heads: int) -> Tensor:
    q = linear(state, f"{name}.to_q", x).unflatten(-1, (heads, -1))
    each = [linear(state, f"{name}.{part}", context) for part in ("to_k", "to_v")]
    k, v = torch.cat(each, dim=-1).unflatten(-1, (heads, -1)).chunk(2, dim=-1)
    return _attended(state, name, q, k, v)


def _attended(state: State, name: str, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k = rms_norm(state, f"{name}.q_norm", q), rms_norm(state, f"{name}.k_norm", k)
    return linear(state, f"{name}.out_proj", attention(q, k, v))


def _experts(
    state: State, config: Mapping[str, Any], number: int, x: Tensor, seen: OnTheWay
) -> Tensor:
    """Repeat the tokens, and let each expert pick its own by a mask: the branch of training."""
    name, each = f"blocks.{number}.moe", int(config["moe_top_k"])
    tokens = x.flatten(0, -2)
    scores = functional.linear(tokens, state[f"{name}.gate.weight"]).softmax(-1)
    weights, experts = scores.topk(each, dim=-1, sorted=False)
    seen.routes[number] = experts, weights
    repeated = tokens.repeat_interleave(each, dim=0)
    chosen = experts.flatten()
    answers = torch.zeros_like(repeated)
    for expert in range(int(config["num_experts"])):
        own = chosen == expert
        answers[own] = _feed_forward(state, f"{name}.experts.{expert}", repeated[own]).to(x.dtype)
    mixed: Tensor = (answers.unflatten(0, (-1, each)) * weights[..., None]).sum(1)
    return mixed.view_as(x) + _feed_forward(state, f"{name}.shared_experts", x)


def _feed_forward(state: State, name: str, x: Tensor) -> Tensor:
    return perceptron(state, f"{name}.net.0.proj", f"{name}.net.2", x)
