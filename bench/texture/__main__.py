"""Texturing: seconds of every stage, and how good it is: ``python -m bench.texture``.

Everything is compared in the same run: our layouts with the charts of xatlas, filling with OpenCV,
baking with the published rules done a view at a time, and the colours of unseen sides with a
blurred and a mirrored front. ``--estimate`` prints what painting costs on a GPU instead, counted
on tensors that take no memory.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from bench.record import Figure, report
from bench.texture.estimate import estimates
from bench.texture.projection_times import time_projection
from bench.texture.round_trip import round_trips
from bench.texture.stage_times import StageTimes
from bench.texture.touching import touching_bodies
from bench.texture.unseen import mean_rows, unseen_sides


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Parameters
    ----------
    faces : tuple of int
        Of the figure.
    sizes_px : tuple of int
        Sides of the textures.
    objects : int
        Whose unseen sides are compared.
    rounds : int
        How often our stages are timed.
    """

    faces: tuple[int, ...]
    sizes_px: tuple[int, ...]
    objects: int
    rounds: int


SCALES = {
    "tiny": Scale((2_000,), (256,), 1, 1),
    "small": Scale((10_000, 40_000), (1024, 2048), 9, 2),
    "full": Scale((10_000, 40_000, 160_000), (1024, 2048, 4096), 9, 3),
}
ROUND_TRIP_PX = 512
UNSEEN_PX = 512


def measured(
    scale: Scale, meshes: Path | None, sheet: Path | None
) -> tuple[list[Figure], list[dict[str, Any]]]:
    """Measure everything."""
    figures: list[Figure] = []
    rows: list[dict[str, Any]] = []
    for number, faces in enumerate(scale.faces):
        times = StageTimes(faces, scale.rounds)
        surface = times.layouts()
        times.drawing(surface)
        for size_px in scale.sizes_px:
            times.textures(surface, size_px)
            rows += time_projection(times, surface.layout, size_px)
        figures += times.figures
        rows += times.rows
        if number == 0:
            rows += round_trips(surface, min(ROUND_TRIP_PX, scale.sizes_px[0]))
            rows += touching_bodies(scale.sizes_px[0], scale.rounds)
    unseen = unseen_sides(scale.objects, meshes, UNSEEN_PX, sheet)
    return figures, [*rows, *unseen, *mean_rows(unseen)]


def print_rows(rows: list[dict[str, Any]]) -> None:
    """Print a table for each kind of row."""
    for what in dict.fromkeys(row["what"] for row in rows):
        group = [row for row in rows if row["what"] == what]
        names = [name for name in group[0] if name != "what"]
        table = Table(*names, title=what)
        for row in group:
            table.add_row(*(_short(row.get(name)) for name in names))
        Console(width=160).print(table)


def work_figures(rows: list[dict[str, Any]]) -> list[Figure]:
    """Return the work of all steps as published, and ours beside it."""
    figures = []
    for row in rows:
        base = row["denoise_published_tflop"]
        name = f"{row['job']}: all steps, as published"
        figures.append(Figure.of(name, "TFLOP", [base]))
        name = f"{row['job']}: all steps, ours"
        figures.append(Figure.of(name, "TFLOP", [row["denoise_ours_tflop"]], base))
    return figures


def _short(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", choices=tuple(SCALES), default="small")
    parser.add_argument("--meshes", type=Path, help="folder of coloured GLB files")
    parser.add_argument("--sheet", type=Path, help="picture of the unseen sides to write")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--estimate", action="store_true", help="cost of painting on a GPU")
    args = parser.parse_args()
    torch.set_num_threads(2)
    if args.estimate:
        rows = estimates()
        print_rows(rows)
        report("texture_estimate", work_figures(rows), {}, args.json, rows)
        return
    started_s = perf_counter()
    figures, rows = measured(SCALES[args.scale], args.meshes, args.sheet)
    settings = {"scale": args.scale, "elapsed_s": round(perf_counter() - started_s, 1)}
    report("texture", figures, settings, args.json, rows)
    print_rows(rows)


if __name__ == "__main__":
    main()
