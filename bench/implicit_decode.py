"""How much does a coarse-to-fine decode save against asking a field everywhere?

Both ways take turns on the field of the tiny engine, whose network makes every question dear, and
on a ball, whose questions cost next to nothing: there only the bookkeeping is left. A dense decode
also compares itself with the other way, which is part of its seconds. They are seconds of one core,
so that whatever else runs on the machine counts for little.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from backend.catalog import ShapeMode
from backend.engines.field_calls import Field
from backend.engines.grid_levels import cells_crossed
from backend.engines.implicit_decode import DecodedGrid, decode_grid
from backend.engines.shape_task import ShapeTask
from backend.units import SystemClock
from bench.record import Figure, report
from bench.tiny_native.body import body_of
from bench.tiny_native.engine import BOX
from bench.tiny_native.networks import (
    LATENT_CHANNELS,
    LATENT_TOKENS,
    SEED,
    TinyDecoder,
    random_weights,
)

RESOLUTIONS = (96, 160, 256)
ROUNDS = 3
PICTURE_PX = 512
WAYS = {"dense": False, "hierarchical": True}


@dataclass
class TimedField:
    """A field that knows how long it took to answer."""

    answer: Field
    taken_s: float = 0.0

    def __call__(self, points: torch.Tensor) -> torch.Tensor:
        """Answer as the field does."""
        started_s = time.process_time()
        values = self.answer(points)
        self.taken_s += time.process_time() - started_s
        return values


@dataclass
class Taken:
    """What the rounds of one way took, in seconds."""

    total_s: list[float] = field(default_factory=list)
    field_s: list[float] = field(default_factory=list)
    decoded: DecodedGrid | None = None


def ball(points: torch.Tensor) -> torch.Tensor:
    """Return how far inside a ball points lie."""
    distances: torch.Tensor = points.norm(dim=-1)
    return 0.8 - distances


def tiny_field(resolution: int) -> Field:
    """Return the field of the tiny engine for a pear on a plain ground."""
    body = body_of(pear(resolution), torch.device("cpu"))
    decoder = random_weights(TinyDecoder(SystemClock()))
    source = torch.Generator().manual_seed(SEED)
    latents = torch.randn(1, LATENT_TOKENS, LATENT_CHANNELS, generator=source)

    def answer(points: torch.Tensor) -> torch.Tensor:
        ruffle: torch.Tensor = decoder(points[None], latents)[0]
        return body.field(points, ruffle)

    return answer


def pear(resolution: int) -> ShapeTask:
    """Draw two discs that overlap."""
    y, x = np.mgrid[:PICTURE_PX, :PICTURE_PX] / PICTURE_PX
    low, high = (np.hypot(x - 0.5, y - at) < radius for at, radius in ((0.62, 0.28), (0.3, 0.16)))
    mask = low | high
    rgb = np.where(mask[..., None], np.uint8(160), np.uint8(255)) * np.ones(3, np.uint8)
    return ShapeTask(rgb, mask, ShapeMode.INFLATE, resolution)


def measured(answer: Field, resolution: int, rounds: int) -> dict[str, Taken]:
    """Decode both ways in turns."""
    taken = {way: Taken() for way in WAYS}
    for _ in range(rounds):
        for way, is_hierarchical in WAYS.items():
            timed = TimedField(answer)
            started_s = time.process_time()
            found = decode_grid(timed, resolution, BOX, hierarchical=is_hierarchical)
            taken[way].total_s.append(time.process_time() - started_s)
            taken[way].field_s.append(timed.taken_s)
            taken[way].decoded = found
    return taken


def figures_of(name: str, taken: Mapping[str, Taken]) -> list[Figure]:
    """Seconds of either way, and how many questions the shorter one asks."""
    dense = sorted(taken["dense"].total_s)
    middle_s = dense[len(dense) // 2]
    return [
        Figure.of(f"{name}: {way}", "s", one.total_s, middle_s) for way, one in taken.items()
    ] + [
        Figure.of(f"{name}: {way}, without the field", "s", rest)
        for way, one in taken.items()
        if (rest := [a - b for a, b in zip(one.total_s, one.field_s, strict=True)])
    ]


def row_of(name: str, resolution: int, taken: Mapping[str, Taken]) -> dict[str, Any]:
    """Questions of either way, and whether both found the same surface."""
    dense, fine = taken["dense"].decoded, taken["hierarchical"].decoded
    if dense is None or fine is None:
        raise RuntimeError("nothing was decoded")
    same = torch.equal(cells_crossed(dense.values), cells_crossed(fine.values))
    if dense.same_surface is not same:
        raise RuntimeError(f"{name} at {resolution}: the decode does not know what it found")
    return {
        "field": name,
        "resolution": resolution,
        "dense_queries": dense.queries,
        "hierarchical_queries": fine.queries,
        "ratio": round(dense.queries / fine.queries, 2),
        "same_surface": same,
    }


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    fields: dict[str, Callable[[int], Field]] = {"tiny": tiny_field, "ball": lambda _: ball}
    figures, rows = [], []
    with torch.inference_mode():
        for name, make in fields.items():
            for resolution in RESOLUTIONS:
                taken = measured(make(resolution), resolution, args.rounds)
                figures += figures_of(f"{name} {resolution}", taken)
                rows.append(row_of(name, resolution, taken))
    settings = {"rounds": args.rounds, "threads": torch.get_num_threads()}
    report("implicit_decode", figures, settings, args.json, rows)


if __name__ == "__main__":
    main()
