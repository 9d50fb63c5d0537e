"""The published encoder of points, written plainly: rows gathered, attention as matrices.

The original hands its convolution and its attention to packages for CUDA; this is what they
compute, and what a machine without them can do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from bench.parts.reference_layers import (
    WIDE_EPSILON,
    State,
    layer_norm,
    linear,
    perceptron,
    stacked,
)

ORDERS = 4
OFFSETS = tuple((x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1))


@dataclass(frozen=True)
class Stage:
    """Rows of one resolution.

    Parameters
    ----------
    cells : Tensor, shape (rows, 3) int64
    codes, orders, inverses : Tensor, shape (4, rows) int64
        Already in the drawn order of the orders.
    """

    cells: Tensor
    codes: Tensor
    orders: Tensor
    inverses: Tensor

    @classmethod
    def of(cls, cells: Tensor, permutation: Tensor) -> Stage:
        """Lay the rows along four curves."""
        depth = int(cells.max() + 1).bit_length()
        swapped = cells[:, [1, 0, 2]]
        codes = torch.stack(
            [
                z_codes(cells, depth),
                z_codes(swapped, depth),
                hilbert_codes(cells, depth),
                hilbert_codes(swapped, depth),
            ]
        )[permutation]
        orders = codes.argsort(dim=1)
        places = torch.arange(len(cells), device=cells.device).expand(ORDERS, -1)
        inverses = torch.zeros_like(orders).scatter_(1, orders, places)
        return cls(cells, codes, orders, inverses)


def z_codes(cells: Tensor, depth: int) -> Tensor:
    """Interleave the bits of three coordinates, x highest."""
    code = torch.zeros_like(cells[:, 0])
    for bit in range(depth):
        for axis in range(3):
            code |= ((cells[:, axis] >> bit) & 1) << (3 * bit + 2 - axis)
    return code


def hilbert_codes(cells: Tensor, depth: int) -> Tensor:
    """Return places along the curve of Hilbert.

    Source
    ------
    Skilling, Programming the Hilbert Curve (2004).
    """
    axes = [cells[:, axis].clone() for axis in range(3)]
    for bit in reversed(range(depth)):
        lower = (1 << bit) - 1
        for axis in range(3):
            is_set = ((axes[axis] >> bit) & 1).bool()
            swapped = torch.where(is_set, 0, (axes[0] ^ axes[axis]) & lower)
            axes[0] = axes[0] ^ torch.where(is_set, lower, swapped)
            axes[axis] = axes[axis] ^ swapped if axis else axes[0]
    code = z_codes(torch.stack(axes, dim=1), depth)
    shift = 1
    while shift < 3 * depth:
        code = code ^ (code >> shift)
        shift *= 2
    return code


def point_features(
    state: State,
    config: Mapping[str, Any],
    features: Tensor,
    cells: Tensor,
    permutations: Tensor,
) -> Tensor:
    """Return the projected features of voxels.

    Parameters
    ----------
    state : mapping
        ``sonata.*`` and ``mlp.*``.
    config : mapping
        In the published words.
    features : Tensor, shape (rows, 9) float32
    cells : Tensor, shape (rows, 3) int64
    permutations : Tensor, shape (5, 4) int64

    Returns
    -------
    Tensor, shape (rows, channels)

    Source
    ------
    Sonata: Self-Supervised Learning of Reliable Point Representations (2025); Point Transformer
    V3 (2024).
    """
    stem = linear(state, "sonata.embedding.stem.linear", features)
    x = functional.gelu(layer_norm(state, "sonata.embedding.stem.norm", stem, WIDE_EPSILON))
    outcomes: list[Tensor] = []
    parents: list[Tensor] = []
    stage = Stage.of(cells, permutations[0])
    for number, depth in enumerate(config["enc_depths"]):
        prefix = f"sonata.enc.enc{number}"
        if number:
            x, coarse, parent = _pooled(state, f"{prefix}.down", x, stage.cells)
            stage = Stage.of(coarse, permutations[number])
            parents.append(parent)
        neighbours = _neighbours(stage.cells)
        heads, patch = config["enc_num_head"][number], config["enc_patch_size"][number]
        for block in range(depth):
            name, row = f"{prefix}.block{block}", block % ORDERS
            x = x + _position(state, f"{name}.cpe", x, neighbours)
            normed = layer_norm(state, f"{name}.norm1.0", x, WIDE_EPSILON)
            x = x + _attended(state, f"{name}.attn", normed, stage, row, heads, patch)
            normed = layer_norm(state, f"{name}.norm2.0", x, WIDE_EPSILON)
            x = x + perceptron(state, f"{name}.mlp.0.fc1", f"{name}.mlp.0.fc2", normed)
        outcomes.append(x)
    for finer, parent in zip(reversed(outcomes[:-1]), reversed(parents), strict=True):
        x = torch.cat([finer, x[parent]], dim=1)
    return stacked(state, "mlp", x)


def _neighbours(cells: Tensor) -> Tensor:
    """Return the rows of the 27 cells around each, (27, rows); ``rows`` where there is none."""
    sides = cells.max(0).values + 3
    rows = len(cells)

    def key(places: Tensor) -> Tensor:
        x, y, z = (places + 1).unbind(1)
        return (x * sides[1] + y) * sides[2] + z

    keys, order = key(cells).sort()
    found = []
    for offset in OFFSETS:
        asked = key(cells + torch.tensor(offset, device=cells.device))
        place = torch.searchsorted(keys, asked).clamp(max=rows - 1)
        found.append(torch.where(keys[place] == asked, order[place], rows))
    return torch.stack(found)


def _position(state: State, name: str, x: Tensor, neighbours: Tensor) -> Tensor:
    """Convolve where there are cells, then a linear layer and a norm."""
    weight = state[f"{name}.0.weight"].flatten(1, 3)
    padded = torch.cat([x, x.new_zeros(1, x.shape[1])])
    out = state[f"{name}.0.bias"].expand(len(x), -1)
    for offset, rows in enumerate(neighbours):
        out = out + padded[rows] @ weight[:, offset].T
    return layer_norm(state, f"{name}.2", linear(state, f"{name}.1", out), WIDE_EPSILON)


def _attended(
    state: State, name: str, x: Tensor, stage: Stage, row: int, heads: int, patch: int
) -> Tensor:
    """Attend within runs along a curve; the last run is filled up from the one before it."""
    order, rows = stage.orders[row], len(x)
    if rows > patch:
        runs = -(-rows // patch)
        filled = torch.arange(runs * patch, device=x.device)
        rest = rows - (runs - 1) * patch
        filled[(runs - 1) * patch + rest :] -= patch
        order = order[filled]
    else:
        runs, patch = 1, rows
    qkv = linear(state, f"{name}.qkv", x)[order].view(runs, patch, 3, heads, -1)
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    weights = ((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)).softmax(-1)
    seen = (weights @ v).transpose(1, 2).reshape(runs * patch, -1)
    return linear(state, f"{name}.proj", seen[stage.inverses[row]])


def _pooled(state: State, name: str, x: Tensor, cells: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Keep the largest of each eight cells; also returns the cells and each row's new row."""
    coarse, parent = torch.unique(cells // 2, dim=0, return_inverse=True)
    projected = linear(state, f"{name}.proj", x)
    places = parent[:, None].expand_as(projected)
    lowest = projected.new_full((len(coarse), projected.shape[1]), -torch.inf)
    largest = lowest.scatter_reduce(0, places, projected, "amax")
    return (
        functional.gelu(layer_norm(state, f"{name}.norm.0", largest, WIDE_EPSILON)),
        coarse,
        parent,
    )
