"""Checks recorded denoisers of parts: a pass, the experts on its way, steps and schedules."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from backend.choices import PartSolver
from backend.models.hunyuan3d.mixture_of_experts import MixtureOfExperts
from backend.models.xpart import denoiser_weights
from backend.models.xpart.denoiser import PartDenoiser
from backend.models.xpart.denoiser_config import PartDenoiserConfig
from backend.models.xpart.part_block import BlockWay, Contexts
from backend.models.xpart.part_sampler import call_times, part_schedule
from bench.parity.building import built
from bench.parity.comparison import Comparison
from bench.parity.golden_folder import GoldenFile
from bench.parity.recorded_lines import Tolerance, all_recorded, compared_one
from bench.parity.watching import Watch

TOLERANCE = Tolerance(5e-5, 1e-4)
THOUSAND = 1000
_SCHEDULE = re.compile(r"(?:sched(\d+)|loop)\.(sigmas|timesteps)")
_STEP = re.compile(r"loop\.latents_after_(\d+)")


def is_part_denoiser(file: GoldenFile) -> bool:
    """Whether a file holds a denoiser of parts."""
    return file.has("weights.x_embedder.weight") and file.has("weights.part_embed")


def part_denoiser(params: Any, weights: dict[str, Tensor]) -> PartDenoiser:
    """Build a denoiser of parts as an engine does."""
    config = PartDenoiserConfig.from_upstream(params)
    return built(PartDenoiser, config, denoiser_weights.fold(weights, config))


@torch.no_grad()
def part_denoiser_comparisons(file: GoldenFile) -> Iterator[Comparison]:
    """Compare a denoiser of parts."""
    network = part_denoiser(file.noted["config"], file.weights("weights."))
    made = {**_one_pass(file, network), **_schedules(file), **_steps(file, network)}
    yield from all_recorded(file, made, TOLERANCE)
    yield from _prepared(file, network)


def _contexts(file: GoldenFile) -> Contexts:
    return Contexts(file.tensors["in.obj_cond"], file.tensors["in.geo_cond"])


def _whole(file: GoldenFile) -> Tensor:
    """Return what is seen of the object, once if it is the same for all parts."""
    recorded = file.tensors["in.obj_cond"]
    is_shared = bool((recorded == recorded[:1]).all())
    return recorded[:1] if is_shared else recorded


def _one_pass(file: GoldenFile, network: PartDenoiser) -> dict[str, Tensor]:
    """Run a pass with nothing prepared, and note what was recorded on its way."""
    given = file.tensors
    gates = {
        number: block.perceptron
        for number, block in enumerate(network.blocks)
        if isinstance(block.perceptron, MixtureOfExperts)
    }
    with (
        Watch(network.blocks) as blocks,
        Watch([network.latent_in]) as embedded,
        Watch([experts.gate for experts in gates.values()]) as scores,
    ):
        velocity = network.velocity(
            given["in.x"], given["in.t"], _contexts(file), given["in.part_embed_idx"]
        )
    made = {
        "out.velocity": velocity,
        "mid.t_emb": network.embed_times(given["in.t"])[:, None],
        "mid.x_emb": embedded[0],
    }
    made |= {f"mid.block{number}.out": tokens for number, tokens in enumerate(blocks)}
    for (number, experts), each in zip(gates.items(), scores, strict=True):
        made |= _routes(file, number, each.flatten(0, -2), experts.experts_per_token)
    return made


def _routes(file: GoldenFile, number: int, scores: Tensor, count: int) -> dict[str, Tensor]:
    """Order the experts of each token as they were recorded, which says nothing by itself."""
    weights, experts = scores.softmax(-1).topk(count)
    name = f"mid.block{number}.moe"
    recorded = file.tensors.get(f"{name}.topk_idx")
    if recorded is not None and recorded.shape == experts.shape:
        ours, theirs = experts.argsort(-1), recorded.argsort(-1).argsort(-1)
        places = ours.gather(-1, theirs)
        weights, experts = weights.gather(-1, places), experts.gather(-1, places)
    return {f"{name}.topk_idx": experts, f"{name}.topk_weight": weights}


def _schedules(file: GoldenFile) -> dict[str, Tensor]:
    """Make every schedule that was recorded."""
    made = {}
    for name in file.recorded:
        found = _SCHEDULE.fullmatch(name)
        if found is None:
            continue
        steps = int(found[1]) if found[1] else len(file.tensors["loop.timesteps"])
        schedule = part_schedule(steps)
        made[name] = schedule.sigmas if found[2] == "sigmas" else schedule.times * THOUSAND
    return made


def _steps(file: GoldenFile, network: PartDenoiser) -> dict[str, Tensor]:
    """Follow the denoiser; what tells parts from each other was drawn anew at each step."""
    if not file.has("loop.in_latents"):
        return {}
    given, latents = file.tensors, file.tensors["loop.in_latents"]
    schedule = part_schedule(len(given["loop.timesteps"]))
    times = call_times(schedule, PartSolver.EULER)
    made = {}
    for step, length in enumerate(schedule.steps.tolist()):
        if length:
            rows = given["loop.part_embed_idx_per_step"][step]
            prepared = network.prepare(_whole(file), given["in.geo_cond"], times, rows)
            latents = latents + length * network(latents, prepared, step)
        made[f"loop.latents_after_{step}"] = latents
    return made


def _prepared(file: GoldenFile, network: PartDenoiser) -> Iterator[Comparison]:
    """Compare what is computed as in a job, each part with a time of its own."""
    if not file.has("out.velocity"):
        return
    given, name = file.tensors, "out.velocity"
    if bool((given["in.t"] != given["in.t"][0]).any()):
        return
    whole = _whole(file)
    ways = {
        ", all savings": (None, BlockWay()),
        ", part by part": (None, BlockWay(parts_per_call=1)),
        ", no keys kept": (0, BlockWay()),
    }
    for suffix, (kept, way) in ways.items():
        prepared = network.prepare(
            whole,
            given["in.geo_cond"],
            given["in.t"][:1],
            given["in.part_embed_idx"],
            keys_for_blocks=kept,
            way=way,
        )
        yield compared_one(file, name, network(given["in.x"], prepared, 0), TOLERANCE, suffix)
