"""Checks recorded pictures, image encoders and schedules."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from backend.models.hunyuan3d.conditioner import (
    Conditioner,
    ConditionerConfig,
    encoder_pixels,
    fold,
)
from backend.models.hunyuan3d.denoiser import Schedule
from backend.models.hunyuan3d.picture import (
    BORDER_RATIO,
    SIZE_PX,
    prepared_picture,
    recentred,
)
from backend.models.hunyuan3d.schedules import consistency_schedule, euler_schedule
from bench.parity.building import built
from bench.parity.comparison import Comparison, compared, failed
from bench.parity.golden_folder import GoldenFile

CONTEXT_TOLERANCE, TIME_TOLERANCE = 5e-5, 1e-6
_KIND = re.compile(r"euler(?:_shift([\d.]+))?|pcm(\d+)")
_SCHEDULE = re.compile(r"((?:euler|pcm)[\w.]*)\.(\d+)\.(sigmas|timesteps)")
_PREPARED = frozenset({"mid.recentered_rgb", "mid.recentered_mask", "out.image", "out.mask"})


def is_conditioner(file: GoldenFile) -> bool:
    """Whether a file holds an image encoder."""
    return "main_image_encoder" in file.config


def is_picture(file: GoldenFile) -> bool:
    """Whether a file holds a picture and what was made of it."""
    return file.has("in.rgba") and not _PREPARED.isdisjoint(file.tensors)


def is_schedules(file: GoldenFile) -> bool:
    """Whether a file holds schedules."""
    return any(_SCHEDULE.fullmatch(name) for name in file.tensors)


def conditioner(params: Any, weights: dict[str, Tensor]) -> Conditioner:
    """Build an image encoder as an engine does."""
    config = ConditionerConfig.from_upstream(params)
    return built(Conditioner, config, fold(weights, config))


@torch.no_grad()
def conditioner_comparisons(file: GoldenFile) -> Iterator[Comparison]:
    """Compare an image encoder on pictures of its own size and of others."""
    network = conditioner(file.config, file.weights())
    for name in sorted(file.recorded):
        line = f"{file.name} {name}"
        if name == "mid.pixels":
            yield _pixels(line, file, network.config.encoder.image_px)
        elif name == "out.uncond":
            answer = _context(network, file, min(_pictures(file)))
            yield compared(line, torch.zeros_like(answer), file.tensors[name], CONTEXT_TOLERANCE)
        elif name.removeprefix("out").isdecimal():
            answer = _context(network, file, int(name.removeprefix("out")))
            yield compared(line, answer, file.tensors[name], CONTEXT_TOLERANCE)
        else:
            yield failed(line, "is not computed", CONTEXT_TOLERANCE)


def _pictures(file: GoldenFile) -> dict[int, Tensor]:
    """Return the recorded pictures by their side in pixels, as their names tell it."""
    found = ((name.removeprefix("in.image"), name) for name in file.tensors)
    return {int(side): file.tensors[name] for side, name in found if side.isdecimal()}


def _context(network: Conditioner, file: GoldenFile, side: int) -> Tensor:
    pictures = _pictures(file)[side]
    views = tuple(range(pictures.shape[1])) if pictures.dim() == 5 else None
    context: Tensor = network(pictures, views)
    return context


def _pixels(line: str, file: GoldenFile, own_side: int) -> Comparison:
    """Compare scaled pixels; they were recorded of a picture of another size, if there is one."""
    pictures = _pictures(file)
    others = {side: each for side, each in pictures.items() if side != own_side} or pictures
    found = (
        compared(
            line,
            encoder_pixels(each, own_side),
            file.tensors["mid.pixels"],
            CONTEXT_TOLERANCE,
            f"of in.image{side}",
        )
        for side, each in others.items()
    )
    return min(found, key=lambda one: one.deviation)


def picture_comparisons(file: GoldenFile) -> Iterator[Comparison]:
    """Compare how a picture is prepared: exactly."""
    rgba = file.tensors["in.rgba"].numpy()
    border = float({**file.facts, **file.config}.get("border_ratio", BORDER_RATIO))
    sizes = [each.shape[-1] for name, each in file.tensors.items() if name.startswith("out.")]
    side = max(sizes, default=SIZE_PX)
    rgb, mask = recentred(rgba, border)
    whole = prepared_picture(rgba, size_px=side, border_ratio=border)
    without_alpha = prepared_picture(rgba[..., :3].copy(), size_px=side, border_ratio=border)
    made = {
        "mid.recentered_rgb": torch.from_numpy(rgb),
        "mid.recentered_mask": torch.from_numpy(mask)[..., None],
        "out.image": torch.from_numpy(whole.pixels)[None],
        "out.mask": torch.from_numpy(whole.mask)[None],
        "out.image_from_rgb": torch.from_numpy(without_alpha.pixels)[None],
    }
    for name in sorted(file.recorded & made.keys()):
        yield compared(f"{file.name} {name}", made[name], file.tensors[name], 0.0)


def schedule_comparisons(file: GoldenFile) -> Iterator[Comparison]:
    """Compare times, and the way that a fixed velocity leads along them."""
    for name, expected in sorted(file.tensors.items()):
        found = _SCHEDULE.fullmatch(name)
        if found:
            kind, steps, what = found.groups()
            schedule = _schedule(kind, int(steps))
            if what == "sigmas":
                actual = schedule.sigmas
            else:  # recorded in thousandths of our times
                actual, expected = schedule.times, expected / 1000
            yield compared(f"{file.name} {name}", actual, expected, TIME_TOLERANCE)
        elif name.startswith("traj.") and _KIND.fullmatch(name.removeprefix("traj.")):
            yield _trajectory(file, name)


def _schedule(kind: str, steps: int) -> Schedule:
    """Make a schedule by the name of its kind: euler, euler_shift3, pcm100."""
    found = _KIND.fullmatch(kind)
    if found is None:
        raise ValueError(f"no schedule is called {kind!r}")
    shift, grid = found.groups()
    if grid:
        return consistency_schedule(steps, int(grid))
    return euler_schedule(steps, float(shift)) if shift else euler_schedule(steps)


def _trajectory(file: GoldenFile, name: str) -> Comparison:
    """Step along recorded velocities."""
    velocities, expected = file.tensors["traj.v"], file.tensors[name]
    schedule = _schedule(name.removeprefix("traj."), len(velocities))
    latents, way = file.tensors["traj.x0"], []
    for step, velocity in zip(schedule.steps, velocities, strict=True):
        latents = latents + step * velocity
        way.append(latents)
    return compared(f"{file.name} {name}", torch.stack(way), expected, TIME_TOLERANCE)
