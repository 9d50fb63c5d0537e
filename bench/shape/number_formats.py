"""What do fewer bits per weight cost and gain on this machine?

``python -m bench.shape.number_formats``: one pass of the denoiser and one call of the geometry
decoder in float32 and bfloat16, each also with weights of 8 bits; the same random weights take
turns, and are compared with float32.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from backend.models.hunyuan3d.schedules import euler_schedule
from backend.models.quantised_linear import quantised
from bench.record import Figure, report
from bench.shape.outcome import MB, timed
from bench.shape.random_weights import random_denoiser, random_vae
from bench.shape.sizes import ModelName, Scale, Sizes, sizes_of

CONTEXT_TOKENS = 1370
POINTS = 16_384


@dataclass(frozen=True)
class Format:
    """How weights are kept and products computed."""

    name: str
    dtype: torch.dtype
    is_int8: bool = False


FORMATS = (
    Format("float32", torch.float32),
    Format("bfloat16", torch.bfloat16),
    Format("int8 weights, float32", torch.float32, is_int8=True),
    Format("int8 weights, bfloat16", torch.bfloat16, is_int8=True),
)


class Denoise:
    """One pass of the denoiser."""

    name = "denoiser, one pass"

    def __init__(self, sizes: Sizes, form: Format) -> None:
        network, _ = random_denoiser(sizes, torch.device("cpu"), torch.float32)
        self.network = _formed(network, form)
        source = torch.Generator().manual_seed(1)
        shape = (1, CONTEXT_TOKENS, sizes.encoder_width)
        context = torch.randn(shape, generator=source).to(form.dtype)
        self._latents = torch.randn(
            1, sizes.latent_tokens, self.network.latent_channels, generator=source
        ).to(form.dtype)
        self._prepared = self.network.prepare(context, euler_schedule(5).times)

    def __call__(self) -> Tensor:
        """Return the velocity."""
        velocity: Tensor = self.network(self._latents, self._prepared, 2)
        return velocity.float()


class Decode:
    """One call of the geometry decoder, in a shell around the surface."""

    name = "decode call"

    def __init__(self, sizes: Sizes, form: Format) -> None:
        network, _ = random_vae(sizes, torch.device("cpu"), torch.float32)
        self.network = _formed(network, form)
        source = torch.Generator().manual_seed(1)
        latents = torch.randn(1, sizes.latent_tokens, 64, generator=source)
        self._keys = self.network.keys(latents)
        directions = nn.functional.normalize(torch.randn(1, POINTS, 3, generator=source), dim=-1)
        radii = 0.55 + 0.3 * torch.rand(1, POINTS, 1, generator=source)
        self._points = directions * radii

    def __call__(self) -> Tensor:
        """Return the values of the field."""
        values: Tensor = self.network.geo_decoder(self._points, self._keys)
        return values


def _formed(network: Any, form: Format) -> Any:
    network.to(form.dtype)
    if form.is_int8:
        quantised(network)
    return network


def compared(exact: Tensor, found: Tensor) -> dict[str, float]:
    """Tell how far values are off, and how many have another sign."""
    error = (found - exact).square().mean().sqrt() / exact.square().mean().sqrt()
    signs = ((found > 0) != (exact > 0)).float().mean()
    return {"rms_error": float(error), "other_sign": float(signs)}


@torch.inference_mode()
def measured(sizes: Sizes, rounds: int) -> tuple[list[Figure], list[dict[str, Any]]]:
    """Take turns."""
    figures, rows = [], []
    for kind in (Denoise, Decode):
        runs = {form.name: kind(sizes, form) for form in FORMATS}
        taken: dict[str, list[float]] = defaultdict(list)
        results: dict[str, Tensor] = {name: run() for name, run in runs.items()}
        for _ in range(rounds):
            for name, run in runs.items():
                taken[name].append(timed(torch.device("cpu"), run).taken_s)
        for name, times in taken.items():
            exact_s = sorted(taken["float32"])[rounds // 2]
            figures.append(Figure.of(f"{kind.name}: {name}", "s", times, exact_s))
            size_mb = sum(each.nbytes for each in runs[name].network.parameters()) / MB
            told = compared(results["float32"], results[name])
            rows.append(
                {"call": kind.name, "format": name, "weights_mb": round(size_mb, 1), **told}
            )
    return figures, rows


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=[*ModelName], default=ModelName.MINI)
    parser.add_argument("--scale", choices=[*Scale], default=Scale.MIDDLE)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    sizes = sizes_of(ModelName(args.model), Scale(args.scale))
    figures, rows = measured(sizes, args.rounds)
    for row in rows:
        Console(soft_wrap=True, highlight=False).print(row)
    settings = {**vars(args), "threads": 1, "points": POINTS, "torch": torch.__version__}
    report("shape_number_formats", figures, settings, args.json, rows)


if __name__ == "__main__":
    main()
