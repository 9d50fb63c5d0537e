"""Do a denoise step and a decode call compile into one graph each, and what is gained?

``python -m bench.shape.compiled``: compiles with ``fullgraph=True`` and static shapes, follows a
whole trajectory twice with new conditionings, and counts graphs: two of the denoiser (with context
and without) and one of the geometry decoder are right.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor
from torch._dynamo.utils import counters

from backend.engines.called_denoiser import CalledDenoiser
from backend.models.hunyuan3d.denoiser import Denoiser
from backend.models.hunyuan3d.picture import prepared_picture
from backend.models.hunyuan3d.sampler import Guidance, sample
from backend.models.hunyuan3d.schedules import euler_schedule
from bench.record import Figure, report
from bench.shape.__main__ import pear
from bench.shape.outcome import deviation, timed
from bench.shape.random_weights import Networks, random_networks
from bench.shape.sizes import ModelName, Scale, sizes_of
from bench.shape.ways import GUIDANCE, Given, given_for

STEPS = 6
Run = Callable[["Calls"], Tensor]
POINTS = {"cpu": 16_384, "cuda": 262_144}


@dataclass(frozen=True)
class Calls:
    """The two calls that jobs repeat: plain, or compiled."""

    denoiser: Denoiser
    geo_decoder: Callable[..., Tensor]


def compiled_calls(networks: Networks, backend: str) -> Calls:
    """Compile both, each into one graph or not at all."""
    denoise, decode = (
        torch.compile(module, fullgraph=True, dynamic=False, backend=backend)
        for module in (networks.denoiser, networks.vae.geo_decoder)
    )
    return Calls(CalledDenoiser(networks.denoiser, denoise), decode)


def trajectory(calls: Calls, given: Given, context: Tensor) -> Tensor:
    """Follow a denoiser, in pairs of calls."""
    guidance = Guidance(GUIDANCE)
    return sample(calls.denoiser, euler_schedule(STEPS), given.noise, context, guidance=guidance)


def graphs() -> int:
    """Return how many graphs this process has compiled."""
    return int(counters["stats"]["unique_graphs"])


def measured(
    networks: Networks, given: Given, rounds: int, backend: str
) -> tuple[list[Figure], list[dict[str, Any]]]:
    """Compile, count and time, in turns with plain calls."""
    device = networks.device
    keys = networks.vae.geo_decoder.keys(given.tokens)
    points = torch.rand(1, POINTS[device.type], 3, device=device) * 2 - 1
    plain = Calls(networks.denoiser, networks.vae.geo_decoder)
    fast = compiled_calls(networks, backend)
    runs: dict[str, tuple[Run, Run]] = {
        "trajectory": (
            lambda calls: trajectory(calls, given, given.context),
            lambda calls: trajectory(calls, given, given.context * 0.5),  # another picture
        ),
        "decode call": (
            lambda calls: calls.geo_decoder(points, keys),
            lambda calls: calls.geo_decoder(points * 0.5, keys),
        ),
    }
    figures: list[Figure] = []
    rows = []
    for name, (run, run_another) in runs.items():
        row, taken = _in_turns(run, run_another, plain, fast, device, rounds)
        rows.append({"call": name, **row})
        figures += [Figure.of(f"{name}: {way}", "s", each) for way, each in taken.items()]
        ratios = [a / b for a, b in zip(taken["plain"], taken["compiled"], strict=True)]
        figures.append(Figure.of(f"{name}: plain / compiled", "x", ratios))
    return figures, rows


def _in_turns(
    run: Run, run_another: Run, plain: Calls, fast: Calls, device: torch.device, rounds: int
) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Compile by a first run, make sure that another job compiles nothing, and take turns."""
    before = graphs()
    first = timed(device, partial(run, fast))
    after_first = graphs()
    run_another(fast)
    taken: dict[str, list[float]] = {"plain": [], "compiled": []}
    for _ in range(rounds):
        expected, found = timed(device, partial(run, plain)), timed(device, partial(run, fast))
        taken["plain"].append(expected.taken_s)
        taken["compiled"].append(found.taken_s)
    row = {
        "graphs": after_first - before,
        "graphs_compiled_again": graphs() - after_first,
        "first_call_s": first.taken_s,
        **deviation(found, expected),
    }
    return row, taken


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=[*ModelName], default=ModelName.MINI)
    parser.add_argument("--scale", choices=[*Scale], default=Scale.SMALL)
    found = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cpu", "cuda"), default=found)
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="float32")
    parser.add_argument("--backend", choices=("inductor", "aot_eager", "eager"), default="inductor")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    sizes = sizes_of(ModelName(args.model), Scale(args.scale))
    networks = random_networks(sizes, torch.device(args.device), getattr(torch, args.dtype))
    pixels = torch.from_numpy(prepared_picture(pear()).pixels)[None]
    with torch.inference_mode():
        given = given_for(networks, pixels)
        figures, rows = measured(networks, given, args.rounds, args.backend)
    for row in rows:
        Console(soft_wrap=True, highlight=False).print(row)
    settings = {**vars(args), "steps": STEPS, "torch": torch.__version__, "sizes": vars(sizes)}
    report("shape_compiled", figures, settings, args.json, rows)


if __name__ == "__main__":
    main()
