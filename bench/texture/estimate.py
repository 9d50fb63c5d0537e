"""What painting costs on a GPU, counted at the published sizes on tensors without memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from backend.engines.paint_memory import (
    PaintWork,
    decode_bytes,
    encode_bytes,
    unet_bytes,
    upscale_bytes,
)
from backend.models.hunyuan3d_paint.paint_config import (
    PAINT_20,
    PAINT_21,
    PaintConfig,
    PaintKind,
)
from backend.models.hunyuan3d_paint.paint_savings import ALL_SAVINGS, NO_SAVINGS, PaintSavings
from backend.models.hunyuan3d_paint.paint_unet import PaintUnet
from backend.models.hunyuan3d_paint.picture_vae import PictureVae
from backend.models.hunyuan3d_paint.picture_vae_config import STABLE_DIFFUSION_21_VAE
from backend.models.hunyuan3d_paint.reference_unet import ReferenceUnet
from backend.models.hunyuan3d_paint.unet_layout import UnetLayout
from backend.models.hunyuan3d_paint.view_inputs import GuidanceRow, ViewInputs
from backend.models.upscaling.rrdb import RrdbNet
from backend.models.upscaling.rrdb_config import RrdbConfig

HALF, HALF_BYTES = torch.float16, 2
DINO_PATCHES, SHRINKING = 257, 8
TERA, GIGA = 1e12, 1e9
# Published: a reference at every step in 2.0, three rows in 2.1.
PUBLISHED_ROWS = {
    PaintKind.COLOUR: (GuidanceRow.BLANK, GuidanceRow.FULL),
    PaintKind.PBR: tuple(GuidanceRow),
}


@dataclass(frozen=True)
class Job:
    """One way to paint an object.

    Parameters
    ----------
    name : str
    config : PaintConfig
    side_px : int
        Of the views.
    views, steps : int
    is_guided : bool
        Whether there is a row without guidance.
    upscales : bool
    """

    name: str
    config: PaintConfig
    side_px: int
    views: int
    steps: int
    is_guided: bool = True
    upscales: bool = False

    @property
    def images(self) -> int:
        """Pictures that are painted: all views of all materials."""
        return self.views * len(self.config.materials)

    @property
    def work(self) -> PaintWork:
        """What is promised for it, with one picture of the reference."""
        return PaintWork(self.config, self.views, 1, self.side_px // SHRINKING, HALF_BYTES)


JOBS = (
    Job("2.0, 512 px", PAINT_20, 512, 6, 30),
    Job("2.0 turbo, 512 px", PAINT_20, 512, 6, 10, is_guided=False),
    Job("2.1, 512 px", PAINT_21, 512, 6, 15, upscales=True),
    Job("2.1, 768 px", PAINT_21, 768, 6, 15, upscales=True),
)


def estimates() -> list[dict[str, Any]]:
    """Count the operations and the memory of each way to paint."""
    with torch.device("meta"), torch.no_grad():
        return [_estimate(job) for job in JOBS]


def _estimate(job: Job) -> dict[str, Any]:
    config, side = job.config, job.side_px // SHRINKING
    network, reference = PaintUnet(config).half(), ReferenceUnet(config).half()
    autoencoder, enlarger = PictureVae(STABLE_DIFFUSION_21_VAE).half(), RrdbNet(RrdbConfig()).half()
    networks = {
        "reference": reference,
        "vae": autoencoder,
        "denoise": network,
        "upscaling": enlarger,
    }
    latent, picture = _zeros(1, 4, side, side), _zeros(1, 3, job.side_px, job.side_px)
    of_reference = flop(lambda: reference(latent))
    of_encoding = flop(lambda: autoencoder.encode(picture)) * (1 + 2 * job.views)
    of_decoding = flop(lambda: autoencoder.decode_one(latent[0])) * job.images
    of_upscaling = flop(lambda: enlarger(picture)) * job.images if job.upscales else 0
    rows = PUBLISHED_ROWS[config.kind] if job.is_guided else (GuidanceRow.FULL,)
    ours = (rows[0], rows[-1]) if job.is_guided else rows
    published = job.steps * _per_step(job, network, rows, NO_SAVINGS)
    if config.kind is PaintKind.COLOUR:
        published += job.steps * len(rows) * of_reference
    else:
        published += of_reference
    saved = job.steps * _per_step(job, network, ours, ALL_SAVINGS) + of_reference
    around = of_encoding + of_decoding + of_upscaling
    return {
        "what": "cost of painting",
        "job": job.name,
        "steps": job.steps,
        "denoise_published_tflop": published / TERA,
        "denoise_ours_tflop": saved / TERA,
        "vae_tflop": (of_encoding + of_decoding) / TERA,
        "upscaling_tflop": of_upscaling / TERA,
        "all_ours_tflop": (saved + around) / TERA,
    } | _memory(job, networks)


def _memory(job: Job, networks: dict[str, torch.nn.Module]) -> dict[str, float | None]:
    """Return bounds on the memory of each stage, weights included; one network at a time."""
    work, side = job.work, job.side_px
    vae = STABLE_DIFFUSION_21_VAE
    extra = {
        "reference": unet_bytes(job.config.unet, 1, side // SHRINKING, HALF_BYTES),
        "vae": max(encode_bytes(vae, side, HALF_BYTES), decode_bytes(vae, side, HALF_BYTES)),
        "denoise": work.call_bytes + work.key_bytes,
    }
    if job.upscales:
        extra["upscaling"] = upscale_bytes(RrdbConfig(), side, HALF_BYTES)
    return {
        f"{name}_gb": (_weight_bytes(network) + extra[name]) / GIGA if name in extra else None
        for name, network in networks.items()
    }


def _weight_bytes(network: torch.nn.Module) -> int:
    return sum(one.nbytes for one in network.parameters())


def _per_step(
    job: Job, network: PaintUnet, rows: tuple[GuidanceRow, ...], savings: PaintSavings
) -> int:
    """Count the operations of one step; those done once are left out."""
    side = job.side_px // SHRINKING
    latents, time = _zeros(job.images, 4, side, side), torch.zeros(1)
    total = 0
    for row in rows:
        prepared = network.prepare(_inputs(job), row, savings)
        total += flop(partial(network, latents, time, prepared))
    return total


def _inputs(job: Job) -> ViewInputs:
    config, side = job.config, job.side_px // SHRINKING
    maps = _zeros(job.views, 4, side, side)
    seen = {
        one.name: _zeros(1, (side >> one.level) ** 2, one.width)
        for one in UnetLayout(config.unet).transformers
    }
    if config.kind is PaintKind.COLOUR:
        cameras = torch.zeros(job.views, dtype=torch.int64)
        return ViewInputs(maps, maps, seen, cameras=cameras)
    voxels = tuple(
        torch.zeros(job.views * (side >> level) ** 2, 3, dtype=torch.int64)
        for level in range(len(config.unet.widths))
    )
    dino = _zeros(1, DINO_PATCHES, config.dino_width)
    return ViewInputs(maps, maps, seen, dino=dino, voxels=voxels)


def _zeros(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=HALF)


def flop(call: Callable[[], Any]) -> int:
    """Count the operations of a call; a multiply-add is two."""
    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())
