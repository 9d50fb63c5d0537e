"""How far from the published way do X-Part's faster ones end?

Random weights: the denoiser is followed from the same noise in every way, and the latents are
compared with those of the published 50 Euler steps, and with those of very many steps, which all
ways approach. A trained network bends its ways differently, so the figures compare the solvers,
not the parts that people get.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from backend.choices import PartQuality, PartSolver
from backend.engines.part_effort import WAYS, PartEffort
from backend.models.xpart.part_sampler import call_times, part_schedule, sample_parts
from bench.parts.completing import Denoising
from bench.parts.sizes import SIZES, Scale
from bench.record import Figure, report

LIMIT_STEPS = 1001
CPU = torch.device("cpu")


def followed(given: Denoising, steps: int, solver: PartSolver) -> Tensor:
    """Follow the denoiser from noise to latents, (parts, tokens, channels) float32."""
    schedule = part_schedule(steps)
    prepared = given.network.prepare(
        given.whole, given.own, call_times(schedule, solver), given.rows
    )
    return sample_parts(given.network, schedule, given.noise, prepared, solver).float()


def distance(latents: Tensor, expected: Tensor) -> float:
    """Length of the difference over the length of what was expected."""
    return float((latents - expected).norm() / expected.norm())


@torch.no_grad()
def figures_of(scale: Scale, limit_steps: int) -> list[Figure]:
    """Go every way, and tell how far from both references it ends."""
    given = Denoising(replace(SIZES[scale], steps=limit_steps), CPU, torch.float32)
    limit = followed(given, limit_steps, PartSolver.EULER)
    exact = followed(given, *WAYS[PartQuality.EXACT])
    figures = []
    for quality, (steps, solver) in WAYS.items():
        latents = exact if quality is PartQuality.EXACT else followed(given, steps, solver)
        name = f"{quality} ({PartEffort(steps, solver).calls} calls)"
        for reference, expected in (("exact", exact), (f"{limit_steps - 1} calls", limit)):
            figures.append(Figure.of(f"{name} from {reference}", "", [distance(latents, expected)]))
    figures.append(Figure.of("length of the way, of the noise", "", [distance(limit, given.noise)]))
    return figures


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=Scale, choices=list(Scale), default=Scale.TINY)
    parser.add_argument("--limit-steps", type=int, default=LIMIT_STEPS)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    settings = {
        "scale": args.scale.value,
        "limit_steps": args.limit_steps,
        "weights": "random, float32",
    }
    report("parts_solvers", figures_of(args.scale, args.limit_steps), settings, args.json)


if __name__ == "__main__":
    main()
