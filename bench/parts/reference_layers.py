"""Layers as functions of published weights, for the reference implementation. Imports torch.

The reference does what the papers' own programs do, step by step, as the descriptions of them say;
it is written to be read and compared with, and takes none of our savings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

State = Mapping[str, Tensor]
LOGIT_LAYERS = (0, 2, 4)
EXACT_EPSILON, WIDE_EPSILON = 1e-6, 1e-5


def under(state: State, prefix: str) -> dict[str, Tensor]:
    """Return the weights under a prefix, without it."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in state.items()
        if name.startswith(prefix)
    }


def linear(state: State, name: str, x: Tensor) -> Tensor:
    """Apply a linear layer, with a bias where one is published."""
    return functional.linear(x, state[f"{name}.weight"], state.get(f"{name}.bias"))


def layer_norm(state: State, name: str, x: Tensor, epsilon: float = EXACT_EPSILON) -> Tensor:
    """Apply a layer norm with weight and bias."""
    weight = state[f"{name}.weight"]
    return functional.layer_norm(x, weight.shape, weight, state[f"{name}.bias"], epsilon)


def rms_norm(state: State, name: str, x: Tensor) -> Tensor:
    """Divide by the root of the mean square, and scale."""
    weight = state[f"{name}.weight"]
    return functional.rms_norm(x, weight.shape, weight.to(x.dtype), EXACT_EPSILON)


def stacked(state: State, name: str, x: Tensor, layers: Sequence[int] = LOGIT_LAYERS) -> Tensor:
    """Apply linear layers with a GELU between each two."""
    for number in layers:
        x = linear(state, f"{name}.{number}", x)
        if number != layers[-1]:
            x = functional.gelu(x)
    return x


def perceptron(state: State, first: str, second: str, x: Tensor) -> Tensor:
    """Apply two linear layers with a GELU between them."""
    return linear(state, second, functional.gelu(linear(state, first, x)))


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend as the originals do outside of the encoder of points: with torch's own kernel.

    Parameters
    ----------
    q, k, v : Tensor, shape (batch, tokens, heads, head_width)

    Returns
    -------
    Tensor, shape (batch, tokens, heads * head_width)
    """
    seen = functional.scaled_dot_product_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    )
    return seen.transpose(1, 2).flatten(2)


def waves(times: Tensor, width: int) -> Tensor:
    """Return sines and cosines of times, (k,) to (k, width)."""
    half = width // 2
    steps = torch.arange(half, device=times.device, dtype=torch.float32) / half
    angles = times.float()[:, None] * torch.exp(-torch.log(torch.tensor(1e4)).item() * steps)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def fourier(points: Tensor, frequencies: int) -> Tensor:
    """Return coordinates beside their sines and cosines, (..., 3) to (..., 3 + 6 frequencies)."""
    octaves = 2.0 ** torch.arange(frequencies, device=points.device, dtype=points.dtype)
    angles = (points[..., None] * octaves).flatten(-2)
    return torch.cat([points, angles.sin(), angles.cos()], dim=-1)
