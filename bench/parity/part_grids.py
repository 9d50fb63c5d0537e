"""Checks a recorded way from a field that is a formula to a mesh."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np
import torch
from skimage.measure import marching_cubes
from torch import Tensor

from backend.models.xpart.published_part_grid import PUBLISHED_LEVEL, published_part_grid
from bench.parity.comparison import Comparison, failed
from bench.parity.golden_folder import GoldenFile
from bench.parity.recorded_lines import Tolerance, compared_one

HALF_SIDE = 1.01
EXACT, NEAR, SHARE = Tolerance(0.0), Tolerance(1e-4), Tolerance(0.0, 1e-4)
_NUMBER = r"(-?[\d.]+)"
_ELLIPSOID = re.compile(
    rf"c\d=\({_NUMBER},{_NUMBER},{_NUMBER}\) r\d=\({_NUMBER},{_NUMBER},{_NUMBER}\)"
)
_GAIN = re.compile(r"clamp\(([\d.]+)\*max")


def is_part_grid(file: GoldenFile) -> bool:
    """Whether a file holds what was asked of a field, and the mesh that came of it."""
    return file.has("query_calls") and "field" in file.noted


def part_grid_comparisons(file: GoldenFile) -> Iterator[Comparison]:
    """Compare the published way to fill a grid, and the surface in it."""
    calls: list[int] = []
    ask = _field(str(file.noted["field"]))

    def counted(points: Tensor) -> Tensor:
        calls.append(len(points))
        return ask(points)

    cells = int(file.noted["octree_resolution"])
    chunk = int(file.tensors["query_calls"].max())
    grid = published_part_grid(counted, cells, chunk_points=chunk)
    made = {"query_calls": torch.tensor(calls), **_surface(grid.values, grid.queries)}
    tolerances = {"bbox": SHARE, "volume_area": SHARE, "verts_first200": NEAR}
    for name in sorted(file.recorded):
        if name in made:
            ours = made[name][: len(file.tensors[name])]
            yield compared_one(file, name, ours, tolerances.get(name, EXACT))
        else:
            yield failed(f"{file.name} {name}", "is not computed")


def _field(told: str) -> Callable[[Tensor], Tensor]:
    """Read the formula: ellipsoids, joined, cut off at 1."""
    found = [[float(number) for number in match] for match in _ELLIPSOID.findall(told)]
    gain = _GAIN.search(told)
    if not found or gain is None:
        raise ValueError(f"cannot read the field {told!r}")
    steep = float(gain[1])

    def ask(points: Tensor) -> Tensor:
        inside = [
            1 - ((points - points.new_tensor(each[:3])) / points.new_tensor(each[3:])).norm(dim=1)
            for each in found
        ]
        return (steep * torch.stack(inside).amax(0)).clamp(-1, 1)

    return ask


def _surface(values: Tensor, queries: int) -> dict[str, Tensor]:
    """Read the surface off as the original does, with another package, and drop what is nowhere."""
    cells = values.shape[0] - 1
    grid = values.numpy()
    corners, faces, *_ = marching_cubes(
        grid, PUBLISHED_LEVEL, method="lewiner", mask=~np.isnan(grid)
    )
    places = torch.from_numpy(corners / cells * (2 * HALF_SIDE) - HALF_SIDE)
    joined = torch.from_numpy(faces.astype(np.int64))
    is_somewhere = places[joined].isfinite().all(-1).all(-1)
    kept = joined[is_somewhere]
    used, compact = torch.unique(kept, return_inverse=True)
    clean = places[used].double()
    a, b, c = clean[compact].unbind(1)
    normals = torch.linalg.cross(b - a, c - a)
    volume, area = (a * normals).sum() / 6, normals.norm(dim=1).sum() / 2
    return {
        "counts_raw_verts_faces": torch.tensor([len(corners), len(faces)]),
        "counts_clean_verts_faces_queries": torch.tensor([len(used), len(kept), queries]),
        "verts_first200": clean.float(),
        "faces_first200": compact,
        "bbox": torch.stack([clean.min(0).values, clean.max(0).values]),
        "volume_area": torch.stack([volume, area]),
    }
