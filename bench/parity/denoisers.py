"""Checks recorded denoisers: the velocity and all recorded on the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from backend.models.hunyuan3d import flux_weights, plain_weights
from backend.models.hunyuan3d.flux_config import FluxConfig
from backend.models.hunyuan3d.flux_denoiser import FluxDenoiser
from backend.models.hunyuan3d.plain_config import PlainConfig
from backend.models.hunyuan3d.plain_denoiser import PlainDenoiser
from backend.models.hunyuan3d.savings import ALL_SAVINGS, NO_SAVINGS
from bench.parity.building import built
from bench.parity.comparison import Comparison, compared, failed
from bench.parity.golden_folder import GoldenFile
from bench.parity.watching import Watch

TOLERANCE = 2e-5
# Guidance of 7.5 is 7,500 radians of the fastest wave: one unit in the last place of a frequency,
# by which processors differ in exp, moves the recorded numbers by up to this.
GUIDED_TOLERANCE = 5e-5


def is_flux(file: GoldenFile) -> bool:
    """Whether a file holds the denoiser of the 2.0 family."""
    return "depth_single_blocks" in file.config


def is_plain(file: GoldenFile) -> bool:
    """Whether a file holds the denoiser of 2.1."""
    return {"context_dim", "hidden_size"} <= file.config.keys()


def flux_denoiser(params: Any, weights: dict[str, Tensor]) -> FluxDenoiser:
    """Build the denoiser of the 2.0 family as an engine does."""
    config = FluxConfig.from_upstream(params)
    return built(FluxDenoiser, config, flux_weights.fold(weights, config))


def plain_denoiser(params: Any, weights: dict[str, Tensor]) -> PlainDenoiser:
    """Build the denoiser of 2.1 as an engine does."""
    config = PlainConfig.from_upstream(params)
    return built(PlainDenoiser, config, plain_weights.fold(weights, config))


@torch.no_grad()
def flux_comparisons(file: GoldenFile) -> Iterator[Comparison]:
    """Compare a denoiser of the 2.0 family."""
    network = flux_denoiser(file.config, file.weights())
    given = file.tensors
    guidance = given["in.guidance"] if network.has_guidance_input else None
    with Watch(network.double_blocks) as seen, Watch(network.single_blocks) as joint:
        out = network.velocity(given["in.x"], given["in.t"], given["in.cond"], guidance)
    made = {"out": out, "mid.vec": network.modulations.embedding(given["in.t"], guidance)}
    for number, (hidden, context) in enumerate(seen):
        made |= {f"mid.double{number}.latent": hidden, f"mid.double{number}.cond": context}
    made |= {f"mid.single{number}": result for number, result in enumerate(joint)}
    yield from _all_recorded(file, made)
    yield from _prepared(file, network, guidance)


@torch.no_grad()
def plain_comparisons(file: GoldenFile) -> Iterator[Comparison]:
    """Compare a denoiser of 2.1."""
    network = plain_denoiser(file.config, file.weights())
    given = file.tensors
    with Watch(network.blocks) as seen:
        out = network.velocity(given["in.x"], given["in.t"], given["in.cond"])
    time_tokens = network.embed_times(given["in.t"])
    is_token = file.has("mid.t_emb") and given["mid.t_emb"].dim() == 3
    made = {"out": out, "mid.t_emb": time_tokens[:, None] if is_token else time_tokens}
    made |= {f"mid.block{number}": result for number, result in enumerate(seen)}
    yield from _all_recorded(file, made)
    yield from _prepared(file, network, None)


def _prepared(file: GoldenFile, network: Any, guidance: Tensor | None) -> Iterator[Comparison]:
    """Compare what is computed as in a job, row by row: each has a time of its own."""
    given = file.tensors
    if not file.has("out"):
        return
    for savings, title in ((ALL_SAVINGS, "all savings"), (NO_SAVINGS, "no savings")):
        rows = []
        for row, time in enumerate(given["in.t"]):
            context = given["in.cond"][row : row + 1]
            scale = None if guidance is None else float(guidance[row])
            ask = network.prepare if bool(context.any()) else network.prepare_blank
            prepared = ask(context, time[None], scale, savings)
            rows.append(network(given["in.x"][row : row + 1], prepared, 0))
        name = f"{file.name} out, prepared, {title}"
        yield compared(name, torch.cat(rows), given["out"], _tolerance(file))


def _all_recorded(file: GoldenFile, made: dict[str, Tensor]) -> Iterator[Comparison]:
    for name in sorted(file.recorded):
        found = made.get(name)
        if found is None:
            yield failed(f"{file.name} {name}", "is not computed", _tolerance(file))
        else:
            yield compared(f"{file.name} {name}", found, file.tensors[name], _tolerance(file))


def _tolerance(file: GoldenFile) -> float:
    return GUIDED_TOLERANCE if "guidance_in.in_layer.weight" in file.weights() else TOLERANCE
