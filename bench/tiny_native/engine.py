"""Engine ``tiny``: runs random networks the way an engine of real ones does."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

import cv2
import numpy as np
import torch
from torch import Tensor

from backend.catalog import CutOutParams, ShapeMode
from backend.engines.engine import Needs
from backend.engines.field_calls import Box
from backend.engines.hosted_model import HostedModel
from backend.engines.implicit_decode import decode_grid
from backend.engines.shape_task import Shape, ShapeTask
from backend.gpu.inference import inference_mode
from backend.profiling.recorder import profile_stage
from backend.profiling.spans import SpanKind
from backend.profiling.stage_facts import FactName, note_fact
from backend.progress import StageProgress
from backend.runtime_settings import SettingName, number_of, value_of
from backend.units import SystemClock
from bench.tiny_native.body import Body, body_of, surface_of
from bench.tiny_native.networks import (
    LATENT_CHANNELS,
    LATENT_TOKENS,
    PICTURE_PX,
    TinyDecoder,
    TinyDenoiser,
    patches_of,
    random_weights,
)

BOX = Box((-1.0,) * 3, (1.0,) * 3)
GUIDANCE = 5.0
STEPS = {96: 8, 160: 12, 10_000: 20}
DECODE_PARTS = 10
NOTICE = "Made by a random network for tests: it says nothing about the picture."


@dataclass(frozen=True)
class _Networks:
    denoiser: HostedModel
    decoder: HostedModel
    device: torch.device


class TinyNative:
    """Random networks; never offered as a way to make shapes.

    The same item gives the same shape in whatever batch it runs, but for rounding: networks add
    up in another order for another batch, which moves a field by less than 1e-4 of the box.
    """

    name = "tiny"
    title = "Tiny random network (tests only)"
    needs = Needs()
    batches = True

    def available(self) -> str | None:
        """Need torch, any device."""
        return None if importlib.util.find_spec("torch") else "torch is not installed"

    def batch_key(self, params: CutOutParams) -> str:
        """Batch by all parameters."""
        return params.model_dump_json(exclude={"seed"})

    def cost_key(self, params: CutOutParams) -> str:
        """Cost by preset and grid."""
        return params.model_dump_json(include={"preset", "grid_resolution"})

    def run(self, batch: Sequence[ShapeTask], progress: StageProgress) -> list[Shape]:
        """Make a shape for every task, all of one resolution; raises NoSurfaceFound."""
        steps = _steps_for(batch[0].resolution)
        total = steps + DECODE_PARTS * len(batch)
        networks = _networks()
        with profile_stage("prepare"), torch.inference_mode():
            bodies = [body_of(task, networks.device) for task in batch]
            pictures = torch.stack([_picture(task) for task in batch]).to(networks.device)
            noise = torch.stack([_noise(task) for task in batch]).to(networks.device)
        with profile_stage("denoise", SpanKind.GPU), inference_mode():
            latents = _denoised(networks, noise, patches_of(pictures), progress, (steps, total))
        shapes = []
        for index, (task, body) in enumerate(zip(batch, bodies, strict=True)):
            done = steps + DECODE_PARTS * index
            tell = partial(_tell, progress, done, total)
            values = _decoded(networks, body, latents[index : index + 1], task.resolution, tell)
            with profile_stage("extract_surface"):
                mesh = surface_of(values.cpu().numpy(), body)
            shapes.append(Shape(mesh, ShapeMode.INFLATE, NOTICE))
        progress.step(total, total)
        return shapes


def _denoised(
    networks: _Networks,
    latents: Tensor,
    patches: Tensor,
    progress: StageProgress,
    counts: tuple[int, int],
) -> Tensor:
    """Integrate from noise, guided by the difference that the picture makes."""
    steps, total = counts
    is_joint = bool(value_of(SettingName.CFG_BATCH))
    times = torch.linspace(0, 1, steps + 1, device=latents.device)
    for number in range(steps):
        progress.step(number, total)
        time = times[number].expand(len(latents))
        blind, seen = _velocities(networks.denoiser, latents, patches, time, is_joint=is_joint)
        velocity = blind + GUIDANCE * (seen - blind)
        latents = latents + (times[number + 1] - times[number]) * velocity.float()
    lower = max((count for count in STEPS.values() if count < steps), default=None)
    forwards = 1 if is_joint else 2
    note_fact(FactName.LOOP, {"steps": steps, "fewer_steps": lower, "forwards_per_step": forwards})
    return latents / latents.std(dim=(1, 2), keepdim=True)


def _velocities(
    denoiser: HostedModel, latents: Tensor, patches: Tensor, time: Tensor, *, is_joint: bool
) -> tuple[Tensor, Tensor]:
    """Ask without and with the picture, in two calls or in one of twice the batch."""
    nothing = torch.zeros_like(patches)
    if not is_joint:
        return denoiser(latents, nothing, time), denoiser(latents, patches, time)
    both = denoiser(
        torch.cat([latents, latents]), torch.cat([nothing, patches]), torch.cat([time, time])
    )
    blind, seen = both.chunk(2)
    return blind, seen


def _decoded(
    networks: _Networks, body: Body, latents: Tensor, resolution: int, tell: partial[None]
) -> Tensor:
    """Evaluate the ruffled body on the grid, shape (r + 1, r + 1, r + 1) float32."""

    def field(points: Tensor) -> Tensor:
        return body.field(points, networks.decoder(points[None], latents)[0])

    lower = max((one for one in STEPS if one < resolution), default=None)
    with profile_stage("decode_volume", SpanKind.GPU), torch.inference_mode():
        return decode_grid(
            field,
            resolution,
            BOX,
            chunk_points=number_of(SettingName.DECODE_CHUNK),
            hierarchical=value_of(SettingName.DECODE) == "hierarchical",
            progress=tell,
            device=networks.device,
            lower_resolution=lower,
        ).values


@cache
def _networks() -> _Networks:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    clock = SystemClock()
    if device.type == "cpu":  # several threads wait for each other when others compute too
        torch.set_num_threads(1)
    with profile_stage("load_model", SpanKind.LOAD):
        denoiser, decoder = (
            random_weights(network).to(device)
            for network in (TinyDenoiser(clock), TinyDecoder(clock))
        )
    return _Networks(
        HostedModel("tiny_denoiser", denoiser, clock=clock),
        HostedModel("tiny_decoder", decoder, clock=clock),
        device,
    )


def _steps_for(resolution: int) -> int:
    return next(steps for most, steps in STEPS.items() if resolution <= most)


def _tell(progress: StageProgress, done: int, total: int, share: float) -> None:
    progress.step(done + int(DECODE_PARTS * share), total)


def _picture(task: ShapeTask) -> Tensor:
    """Colours and mask as (4, 128, 128) float32 from 0 to 1."""
    layers = np.dstack([task.rgb, 255 * task.mask.astype(np.uint8)])
    small = cv2.resize(layers, (PICTURE_PX, PICTURE_PX), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(np.asarray(small, dtype=np.float32)).permute(2, 0, 1) / 255


def _noise(task: ShapeTask) -> Tensor:
    """Latents to start from, (256, 16): drawn for this item alone, whatever batch it is in."""
    picture = hashlib.blake2b(task.rgb.tobytes() + task.mask.tobytes(), digest_size=4).digest()
    seed = int.from_bytes(picture, "big") ^ task.seed
    source = torch.Generator().manual_seed(seed)
    return torch.randn(LATENT_TOKENS, LATENT_CHANNELS, generator=source)
