"""Encoders of sizes that nobody recorded, beside what their formulas say, cell by cell."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from backend.models.sonata import sonata_weights
from backend.models.sonata.config import SonataConfig
from backend.models.sonata.point_features import PointFeatures
from backend.models.sonata.serialization import order_permutations
from backend.models.sonata.voxels import CELL_SIZE, voxel_cloud
from bench.parity.building import built
from tests.models.hunyuan3d.test_other_sizes import drawn
from tests.models.hunyuan3d.written_out import Written, attended, gelu

STEPS = [(x, y, z) for x in range(3) for y in range(3) for z in range(3)]


def morton(cell, bits):
    return sum((n >> b & 1) << 3 * b + 2 - axis for axis, n in enumerate(cell) for b in range(bits))


def hilbert(cell, bits):
    cell = list(cell)
    for bit in reversed(range(bits)):
        below = (1 << bit) - 1
        for axis in range(3):
            if cell[axis] >> bit & 1:
                cell[0] ^= below
            else:
                changed = (cell[0] ^ cell[axis]) & below
                cell[0], cell[axis] = cell[0] ^ changed, cell[axis] ^ changed
    code, found = morton(cell, bits), 0
    while code:  # from Gray code
        found, code = found ^ code, code >> 1
    return found


def along(cells, order):
    """Rows of cells in one of the four orders."""
    bits = (max(map(max, cells)) + 1).bit_length()
    turned = [(y, x, z) if order % 2 else (x, y, z) for x, y, z in cells]
    code = hilbert if order >= 2 else morton
    return sorted(range(len(cells)), key=lambda row: code(turned[row], bits))


def convolved(w: Written, name: str, cells, x: Tensor) -> Tensor:
    rows = {cell: row for row, cell in enumerate(cells)}
    found = w.weights[f"{name}.bias"].repeat(len(cells), 1)
    for cell, row in rows.items():
        for step in STEPS:
            other = rows.get(tuple(n + s - 1 for n, s in zip(cell, step, strict=True)))
            if other is not None:
                found[row] += w.weights[f"{name}.weight"][:, *step] @ x[other]
    return found


def attended_along(w: Written, name: str, order, heads: int, patch: int, x: Tensor) -> Tensor:
    """Point by point: who is in a run that is full, or else among the last of all."""
    q, k, v = w.linear(f"{name}.qkv", x).chunk(3, dim=1)
    found = torch.zeros_like(x)
    for place, row in enumerate(order):
        start = min(place // patch * patch, max(len(order) - patch, 0))
        near = order[start : start + patch]
        of_heads = [part.chunk(heads, dim=1) for part in (q[[row]], k[near], v[near])]
        mixed = [attended(*(p[None] for p in head)) for head in zip(*of_heads, strict=True)]
        found[row] = torch.cat(mixed, dim=-1)[0, 0]
    return w.linear(f"{name}.proj", found)


def written_out(weights, config: SonataConfig, features: Tensor, cells, orders) -> Tensor:
    """Section 3 of the description."""
    w, levels, parents = Written(weights), [], []
    stem = "sonata.embedding.stem"
    x = gelu(w.norm(f"{stem}.norm", w.linear(f"{stem}.linear", features), 1e-5))
    for level, depth in enumerate(config.depths):
        stage = f"sonata.enc.enc{level}"
        if level:
            halves = [tuple(n // 2 for n in cell) for cell in cells]
            cells = sorted(set(halves))
            parents.append(torch.tensor([cells.index(half) for half in halves]))
            x = w.linear(f"{stage}.down.proj", x)
            x = torch.stack([x[parents[-1] == row].amax(dim=0) for row in range(len(cells))])
            x = gelu(w.norm(f"{stage}.down.norm.0", x, 1e-5))
        for number in range(depth):
            block = f"{stage}.block{number}"
            at = w.linear(f"{block}.cpe.1", convolved(w, f"{block}.cpe.0", cells, x))
            x = x + w.norm(f"{block}.cpe.2", at, 1e-5)
            order = along(cells, orders[level][number % 4])
            sizes = config.heads[level], config.patches[level]
            normed = w.norm(f"{block}.norm1.0", x, 1e-5)
            x = x + attended_along(w, f"{block}.attn", order, *sizes, normed)
            inner = w.linear(f"{block}.mlp.0.fc1", w.norm(f"{block}.norm2.0", x, 1e-5))
            x = x + w.linear(f"{block}.mlp.0.fc2", gelu(inner))
        levels.append(x)
    x = levels.pop()
    while levels:
        x = torch.cat([levels.pop(), x[parents.pop()]], dim=1)
    return w.linear("mlp.4", gelu(w.linear("mlp.2", gelu(w.linear("mlp.0", x)))))


@pytest.mark.parametrize(
    ("config", "points", "side_in_cells"),
    [
        (SonataConfig(9, (6, 8, 4), (5, 2, 1), (2, 1, 2), (16, 16, 4), 2, 10, 14), 70, 9),
        (SonataConfig(9, (4, 6), (1, 6), (1, 3), (16, 1024), 4, 5), 48, 1000),
        (SonataConfig(9, (4, 6, 8, 8, 4), (1, 1, 1, 1, 1), (2, 2, 2, 1, 1), (8,) * 5, 1, 6), 1, 1),
        (SonataConfig(9, (4,), (4,), (2,), (1,), 4, 6), 20, 3),
    ],
    ids=["a rest in the last patch", "full patches", "a lone cell", "patches of one"],
)
def test_features_are_what_formulas_say(config, points, side_in_cells):
    rng = np.random.default_rng(points)
    places = rng.random((points, 3)) * side_in_cells * CELL_SIZE
    cloud = voxel_cloud(places, rng.normal(size=(points, 3)), rng)
    orders = order_permutations(torch.Generator().manual_seed(points), config.levels)
    weights = drawn(sonata_weights.upstream_shapes(config))
    network = built(PointFeatures, config, sonata_weights.fold(weights, config))
    features, cells = torch.from_numpy(cloud.features), torch.from_numpy(cloud.cells)
    found = network(features, cells, orders)
    tuples = [tuple(cell) for cell in cloud.cells.tolist()]
    expected = written_out(weights, config, features, tuples, orders.tolist())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-5)
