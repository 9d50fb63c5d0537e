"""Checks recorded pipelines: from a picture to latents, values on a grid and a surface."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from backend.engines.called_denoiser import CalledDenoiser
from backend.models.checkpoints.hunyuan_description import CONSISTENCY_GRID_SIZE
from backend.models.hunyuan3d.denoiser import Denoiser, Schedule
from backend.models.hunyuan3d.geo_decoder import field_of
from backend.models.hunyuan3d.picture import BORDER_RATIO, SIZE_PX, prepared_picture
from backend.models.hunyuan3d.sampler import Guidance, sample
from backend.models.hunyuan3d.savings import ALL_SAVINGS, NO_SAVINGS
from backend.models.hunyuan3d.schedules import consistency_schedule, euler_schedule
from backend.models.hunyuan3d.shape_vae import ShapeVae
from backend.models.hunyuan3d.volume_decoding import dense_grid
from bench.parity.comparison import Comparison, compared
from bench.parity.denoisers import flux_denoiser, plain_denoiser
from bench.parity.golden_folder import GoldenFile
from bench.parity.inputs import conditioner
from bench.parity.shape_vaes import GRID_TOLERANCE, shape_vae
from bench.parity.surfaces import RecordedGrid, surface_comparisons

CONTEXT_TOLERANCE, PATH_TOLERANCE = 5e-5, 2e-4
GUIDANCE = 5.0
_GRID = re.compile(r"out\.grid(\d+)")
_SURFACE = ("out.mc_verts", "out.mc_faces", "out.trimesh_faces")


def is_shape_pipeline(file: GoldenFile) -> bool:
    """Whether a file holds a whole pipeline."""
    return {"model", "vae", "conditioner", "scheduler"} <= file.config.keys()


@torch.no_grad()
def shape_pipeline_comparisons(file: GoldenFile) -> Iterator[Comparison]:
    """Compare a pipeline; each step starts from what was recorded of the one before."""
    yield from _context(file)
    if not {"in.noise", "mid.cond"}.isdisjoint(file.tensors):
        yield from _latents(file)
    if file.has("out.latents"):
        yield from _shape(file)


def _params(file: GoldenFile, section: str) -> dict[str, Any]:
    params: dict[str, Any] = file.config[section].get("params") or {}
    return params


def _context(file: GoldenFile) -> Iterator[Comparison]:
    if file.has("in.rgba"):
        sizes = file.config.get("image_processor", {}).get("params") or {}
        picture = prepared_picture(
            file.tensors["in.rgba"].numpy(),
            size_px=sizes.get("size", SIZE_PX),
            border_ratio=sizes.get("border_ratio", BORDER_RATIO),
        )
        pixels = torch.from_numpy(picture.pixels)[None]
        if file.has("mid.image"):
            yield compared(f"{file.name} mid.image", pixels, file.tensors["mid.image"], 0.0)
    if file.has("mid.cond"):
        pixels = file.tensors["mid.image"] if file.has("mid.image") else pixels
        network = conditioner(_params(file, "conditioner"), file.weights("conditioner."))
        context, expected = network(pixels), file.tensors["mid.cond"]
        if len(expected) == 2 * len(context):
            context = torch.cat([context, torch.zeros_like(context)])
        yield compared(f"{file.name} mid.cond", context, expected, CONTEXT_TOLERANCE)


def _latents(file: GoldenFile) -> Iterator[Comparison]:
    denoiser, noise = _denoiser(file), file.tensors["in.noise"]
    schedule = _schedule(file)
    scale = float(file.facts.get("guidance_scale", GUIDANCE))
    for savings, title in ((NO_SAVINGS, "no savings"), (ALL_SAVINGS, "all savings")):
        for is_joint in (False, True):
            watched = _Watched(denoiser)
            latents = sample(
                watched,
                schedule,
                noise,
                file.tensors["mid.cond"][: len(noise)],
                guidance=Guidance(scale, joint=is_joint),
                savings=savings,
            )
            way = f"{title}{', both passes in one' if is_joint else ''}"
            if file.has("out.latents"):
                expected = file.tensors["out.latents"]
                line = f"{file.name} out.latents, {way}"
                yield compared(line, latents, expected, PATH_TOLERANCE)
            if not is_joint and savings is NO_SAVINGS and file.has("mid.latents_per_step"):
                per_step = torch.stack([*watched.after_each_step(), latents])
                expected = file.tensors["mid.latents_per_step"]
                line = f"{file.name} mid.latents_per_step"
                yield compared(line, per_step, expected, PATH_TOLERANCE)


def _shape(file: GoldenFile) -> Iterator[Comparison]:
    network = shape_vae(_params(file, "vae"), file.weights("vae."))
    tokens = network.transformer(file.tensors["out.latents"])
    if file.has("mid.kv"):
        yield compared(f"{file.name} mid.kv", tokens, file.tensors["mid.kv"], PATH_TOLERANCE)
    for name in sorted(file.recorded):
        found = _GRID.fullmatch(name)
        if found:
            yield from _grid(file, name, int(found[1]), network, tokens)


def _grid(
    file: GoldenFile, name: str, cells: int, network: ShapeVae, tokens: Tensor
) -> Iterator[Comparison]:
    """Compare the values on a grid, and the surface that was read off the recorded ones."""
    expected = file.tensors[name]
    fields = (field_of(network.geo_decoder, one) for one in tokens.split(1))
    values = torch.stack([dense_grid(field, cells).values for field in fields])
    yield compared(f"{file.name} {name}", values, expected, GRID_TOLERANCE)
    level_name = "out.mc_level"
    level = file.tensors[level_name] if file.has(level_name) else expected[0].median()
    if file.has(level_name):
        yield _level(f"{file.name} {level_name}", values[0], level)
    recorded = {key: file.tensors[key] for key in _SURFACE if file.has(key)}
    if recorded:
        grid = RecordedGrid(expected[0], cells, float(level))
        yield from surface_comparisons(file.name, grid, recorded)


def _level(line: str, values: Tensor, expected: Tensor) -> Comparison:
    """Compare the level with the median of the grid; of an even number it may be either way."""
    medians = (values.median(), values.flatten().quantile(0.5))
    note = "the median of the grid"
    found = (compared(line, one.view(1), expected, GRID_TOLERANCE, note) for one in medians)
    return min(found, key=lambda one: one.deviation)


def _denoiser(file: GoldenFile) -> Denoiser:
    params, weights = _params(file, "model"), file.weights("model.")
    build = flux_denoiser if "depth_single_blocks" in params else plain_denoiser
    return build(params, weights)


def _schedule(file: GoldenFile) -> Schedule:
    """Make the schedule of the published class, of as many steps as were recorded."""
    if file.has("mid.latents_per_step"):
        steps = len(file.tensors["mid.latents_per_step"])
    else:
        steps = int(file.facts["steps"])
    params = _params(file, "scheduler")
    if "Consistency" in str(file.config["scheduler"]["target"]):
        return consistency_schedule(steps, params.get("pcm_timesteps", CONSISTENCY_GRID_SIZE))
    return euler_schedule(steps, float(params.get("shift", 1.0)))


class _Watched(CalledDenoiser):
    """Notes the latents that each step starts from."""

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__(denoiser, denoiser)
        self._starts: dict[int, Tensor] = {}

    def __call__(self, latents: Tensor, conditioning: Any, step: int | Tensor) -> Tensor:
        self._starts[int(step)] = latents
        return super().__call__(latents, conditioning, step)

    def after_each_step(self) -> list[Tensor]:
        """Return the latents after every step but the last."""
        return [self._starts[step] for step in sorted(self._starts)][1:]
