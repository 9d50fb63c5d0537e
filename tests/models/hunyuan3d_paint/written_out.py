"""The block for colour as the paper writes it, one view and one head at a time."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def attention(state: dict[str, Tensor], name: str, q: Tensor, seen: Tensor, heads: int) -> Tensor:
    """Look from tokens (tokens, width) at others."""
    q, k, v = (
        rows @ state[f"{name}.to_{part}.weight"].T
        for part, rows in zip("qkv", (q, seen, seen), strict=True)
    )
    width, found = q.shape[-1] // heads, []
    for head in range(heads):
        own = slice(head * width, (head + 1) * width)
        logits = q[:, own] @ k[:, own].T / width**0.5
        found.append(logits.softmax(-1) @ v[:, own])
    out = f"{name}.to_out.0"
    return torch.cat(found, -1) @ state[f"{out}.weight"].T + state[f"{out}.bias"]


def norm(state: dict[str, Tensor], name: str, tokens: Tensor) -> Tensor:
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    return functional.layer_norm(tokens, tokens.shape[-1:], weight, bias, 1e-5)


def colour_block(
    state: dict[str, Tensor],
    block: str,
    views: Tensor,
    reference: Tensor | None,
    text: Tensor,
    heads: int,
) -> Tensor:
    """Change the tokens of all views.

    Parameters
    ----------
    state : dict
        By published name.
    block : str
        Its published name.
    views : Tensor, shape (views, tokens, width)
    reference : Tensor, shape (tokens, width), optional
    text : Tensor, shape (tokens, text_width)
    """
    own = f"{block}.transformer"
    everywhere = norm(state, f"{own}.norm1", views.flatten(0, 1))
    together = attention(state, f"{block}.attn_multiview", everywhere, everywhere, heads)
    changed = []
    for number, tokens in enumerate(views):
        normed = norm(state, f"{own}.norm1", tokens)
        tokens = tokens + attention(state, f"{own}.attn1", normed, normed, heads)
        if reference is not None:
            tokens = tokens + attention(state, f"{block}.attn_refview", normed, reference, heads)
        if len(views) > 1:
            tokens = tokens + together.view_as(views)[number]
        asking = norm(state, f"{own}.norm2", tokens)
        tokens = tokens + attention(state, f"{own}.attn2", asking, text, heads)
        changed.append(tokens + perceptron(state, own, tokens))
    return torch.stack(changed)


def perceptron(state: dict[str, Tensor], own: str, tokens: Tensor) -> Tensor:
    normed = norm(state, f"{own}.norm3", tokens)
    both = normed @ state[f"{own}.ff.net.0.proj.weight"].T + state[f"{own}.ff.net.0.proj.bias"]
    half = both.shape[-1] // 2
    gated = both[:, :half] * functional.gelu(both[:, half:])
    return gated @ state[f"{own}.ff.net.2.weight"].T + state[f"{own}.ff.net.2.bias"]
