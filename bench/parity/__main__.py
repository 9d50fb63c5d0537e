"""Compare our networks with recorded tensors: ``python -m bench.parity DIR``.

Prints a line per tensor with its deviation. Ends with 1 when one is beyond its tolerance or could
not be compared, and with 2 when there is nothing to compare.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from rich.console import Console
from rich.markup import escape

from backend.errors import MeshkilnError
from bench.parity.comparison import Comparison, failed
from bench.parity.denoisers import flux_comparisons, is_flux, is_plain, plain_comparisons
from bench.parity.golden_folder import GoldenFile, UnreadableFile, golden_files
from bench.parity.inputs import (
    conditioner_comparisons,
    is_conditioner,
    is_picture,
    is_schedules,
    picture_comparisons,
    schedule_comparisons,
)
from bench.parity.paint_networks import is_paint_network, paint_network_comparisons
from bench.parity.paint_schedules import is_paint_schedules, paint_schedule_comparisons
from bench.parity.part_denoisers import is_part_denoiser, part_denoiser_comparisons
from bench.parity.part_faces import face_part_comparisons, is_face_parts
from bench.parity.part_grids import is_part_grid, part_grid_comparisons
from bench.parity.part_masks import is_mask_heads, mask_head_comparisons
from bench.parity.part_surfaces import (
    is_part_conditioner,
    is_part_vae,
    part_conditioner_comparisons,
    part_vae_comparisons,
)
from bench.parity.point_clouds import is_point_features, point_feature_comparisons
from bench.parity.shape_pipelines import is_shape_pipeline, shape_pipeline_comparisons
from bench.parity.shape_vaes import is_shape_vae, shape_vae_comparisons
from bench.parity.texture_bakes import bake_comparisons
from bench.parity.texture_views import is_texture_views, texture_view_comparisons


def _texture_comparisons(file: GoldenFile) -> Iterator[Comparison]:
    """Compare views of a mesh, and the textures made of them."""
    yield from texture_view_comparisons(file)
    yield from bake_comparisons(file)


CHECKS: tuple[
    tuple[Callable[[GoldenFile], bool], Callable[[GoldenFile], Iterator[Comparison]]], ...
] = (
    (is_shape_pipeline, shape_pipeline_comparisons),
    (is_flux, flux_comparisons),
    (is_plain, plain_comparisons),
    (is_shape_vae, shape_vae_comparisons),
    (is_conditioner, conditioner_comparisons),
    (is_picture, picture_comparisons),
    (is_schedules, schedule_comparisons),
    (is_mask_heads, mask_head_comparisons),
    (is_face_parts, face_part_comparisons),
    (is_part_denoiser, part_denoiser_comparisons),
    (is_part_conditioner, part_conditioner_comparisons),
    (is_part_vae, part_vae_comparisons),
    (is_part_grid, part_grid_comparisons),
    (is_point_features, point_feature_comparisons),
    (is_paint_network, paint_network_comparisons),
    (is_paint_schedules, paint_schedule_comparisons),
    (is_texture_views, _texture_comparisons),
)
# What a file that is not as it should be leads to; everything else is a fault of this program.
_BAD_FILE = (MeshkilnError, KeyError, IndexError, TypeError, ValueError, RuntimeError)


def comparisons(folder: Path) -> Iterator[Comparison]:
    """Compare everything in a folder; what cannot be compared counts as a failure.

    Raises
    ------
    FileNotFoundError, ValueError
        There is nothing to compare.
    """
    for file in golden_files(folder):
        if isinstance(file, UnreadableFile):
            yield failed(file.name, file.reason)
        else:
            yield from _of_file(file)


def _of_file(file: GoldenFile) -> Iterator[Comparison]:
    """Compare one file, and name the tensors that no comparison spoke of."""
    check = next((check for fits, check in CHECKS if fits(file)), None)
    if check is None:
        yield failed(
            file.name, "no network is known for this file, or its configuration is missing"
        )
        return
    seen = []
    try:
        for one in check(file):
            seen.append(one.name)
            yield one
    except _BAD_FILE as error:
        reason = f"lacks {error}" if isinstance(error, KeyError) else error
        yield failed(f"{file.name}, the rest of it", reason)
    for name in sorted(file.recorded):
        title = f"{file.name} {name}"
        if not any(line == title or line.startswith(f"{title},") for line in seen):
            yield failed(title, "was not compared")


def main() -> int:
    """Compare and print; returns 1 when a tensor is beyond its tolerance."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR")
    args = parser.parse_args()
    torch.set_num_threads(1)
    console = Console(soft_wrap=True, highlight=False)
    found = 0
    beyond = 0
    try:
        for one in comparisons(args.folder):
            found += 1
            beyond += not one.holds
            console.print(_line(one))
    except (FileNotFoundError, ValueError) as error:
        console.print(f"[red]{escape(str(error))}[/]")
        return 2
    console.print(f"{found} compared, {beyond} beyond their tolerance.")
    return 1 if beyond else 0


def _line(one: Comparison) -> str:
    verdict = "[green]ok[/]    " if one.holds else "[red]BEYOND[/]"
    note = escape(f"  ({one.note})") if one.note else ""
    share = f" + {one.relative:.0e} of the value" if one.relative else ""
    numbers = f"{one.deviation:.2e}, tolerance {one.tolerance:.0e}{share}"
    return f"{verdict} {escape(one.name)}: {numbers}{note}"


if __name__ == "__main__":
    sys.exit(main())
