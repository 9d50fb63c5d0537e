"""How long does it take to get from values on a grid to a mesh that shares its vertices?

Ours and scikit-image's marching cubes with trimesh's merge take turns on the same fields, a bumpy
ball and a thin shell. They are seconds of one core, so that whatever else runs on the machine
counts for little; ``--threads 2`` measures seconds by the clock instead. What our way holds at most
beside the values is told by torch.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from skimage.measure import marching_cubes
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from backend.meshes.isosurface.active_cells import Grid, active_cells
from backend.meshes.isosurface.surface import extract_surface
from bench.record import Figure, report

RESOLUTIONS = (128, 256, 384)
ROUNDS = 3
HALF_SIDE = 1.01
LOWER, UPPER = (-HALF_SIDE,) * 3, (HALF_SIDE,) * 3
OURS, CELLS, OTHERS, MARCHING = "ours", "ours: finding cells", "scikit-image + trimesh", "its march"


def bumpy_ball(cells: int) -> Tensor:
    """Return values of a ball with bumps, about 300 000 vertices at 384 cells."""
    x, y, z = _places(cells)
    bumps = 0.08 * torch.sin(9 * x) * torch.sin(8 * y + 1) * torch.sin(7 * z)
    return 0.7 + bumps - (x * x + y * y + z * z).sqrt()


def thin_shell(cells: int) -> Tensor:
    """Return values of an open bowl, some cells thick."""
    x, y, z = _places(cells)
    shell = 0.015 - ((x * x + y * y + z * z).sqrt() - 0.7).abs()
    return torch.minimum(shell, 0.3 - y)


FIELDS: dict[str, Callable[[int], Tensor]] = {"bumpy ball": bumpy_ball, "thin shell": thin_shell}


def _places(cells: int) -> list[Tensor]:
    along = torch.linspace(-HALF_SIDE, HALF_SIDE, cells + 1)
    return [along.view(shape) for shape in ((-1, 1, 1), (1, -1, 1), (1, 1, -1))]


def ours(values: Tensor) -> int:
    """Extract our way; returns the number of vertices."""
    return len(extract_surface(values, LOWER, UPPER).vertices)


def measured(values: Tensor, rounds: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Take turns; seconds by what was done."""
    taken: dict[str, list[float]] = {OURS: [], CELLS: [], OTHERS: [], MARCHING: []}
    ours(values)  # works out the table
    for _ in range(rounds):
        started_s = clock()
        ours(values)
        taken[OURS].append(clock() - started_s)
        started_s = clock()
        active_cells(Grid(values, 0.0), closed=True)
        taken[CELLS].append(clock() - started_s)
        started_s = clock()
        vertices, faces, _, _ = marching_cubes(values.numpy(), 0.0, method="lewiner")
        taken[MARCHING].append(clock() - started_s)
        trimesh.Trimesh(vertices / (len(values) - 1) * 2 * HALF_SIDE - HALF_SIDE, faces[:, ::-1])
        taken[OTHERS].append(clock() - started_s)
    return taken


def peak_bytes(values: Tensor) -> int:
    """Return what our way holds at most beside the values."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        ours(values)
    held = highest = 0
    for event in recorded.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            highest = max(highest, held)
    return highest


def row_of(name: str, resolution: int, values: Tensor) -> dict[str, Any]:
    """Compare what both ways found, and tell our memory."""
    surface = extract_surface(values, LOWER, UPPER)
    vertices, faces, _, _ = marching_cubes(values.numpy(), 0.0, method="lewiner")
    found = trimesh.Trimesh(surface.vertices.numpy(), surface.faces.numpy(), process=False)
    other = trimesh.Trimesh(vertices / resolution * 2 * HALF_SIDE - HALF_SIDE, faces[:, ::-1])
    return {
        "field": name,
        "resolution": resolution,
        "vertices": [len(surface.vertices), len(other.vertices)],
        "faces": [len(surface.faces), len(other.faces)],
        "volume": [round(float(found.volume), 6), round(abs(float(other.volume)), 6)],
        "watertight": [bool(found.is_watertight), bool(other.is_watertight)],
        "peak_share_of_grid": round(peak_bytes(values) / values.nbytes, 3),
    }


def figures_of(name: str, taken: dict[str, list[float]]) -> list[Figure]:
    """Seconds of each, beside those of scikit-image with trimesh."""
    compared_with = float(np.median(taken[OTHERS]))
    return [Figure.of(f"{name}: {what}", "s", of, compared_with) for what, of in taken.items()]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    clock = time.process_time if args.threads == 1 else time.perf_counter
    figures, rows = [], []
    for name, make in FIELDS.items():
        for resolution in RESOLUTIONS:
            values = make(resolution)
            figures += figures_of(f"{name} {resolution}", measured(values, args.rounds, clock))
            rows.append(row_of(name, resolution, values))
    settings = {"rounds": args.rounds, "threads": args.threads}
    report("surface_extraction", figures, settings, args.json, rows)


if __name__ == "__main__":
    main()
