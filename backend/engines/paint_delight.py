"""Takes light and shadow out of the pictures of an object. Imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.engines.model_networks import ModelNetworks, device_of
from backend.engines.paint_memory import unet_bytes
from backend.engines.paint_networks import checked, decoded_pictures, encoded_pictures, vae_config
from backend.engines.paint_references import PreparedReference
from backend.engines.paint_stages import Tell
from backend.models.checkpoints.checkpoint import Component, PictureCheckpoint
from backend.models.hunyuan3d_paint.paint_sampler import paint
from backend.models.hunyuan3d_paint.schedules import (
    PUBLISHED_DELIGHT,
    PaintSchedule,
    Solver,
    initial_noise,
)
from backend.models.hunyuan3d_paint.unet_config import UnetConfig
from backend.models.hunyuan3d_paint.view_inputs import GuidanceRow, PreparedViews

SIDE_PX = 512
STEPS = 50
_OPAQUE = 128
_KEPT = 0.95  # of both means: a little of the change of brightness stays
_FLAT = 1e-6
_ENCODED, _FOLLOWED = 0.05, 0.95


def delit_references(
    networks: ModelNetworks, references: Sequence[PreparedReference], seed: int, tell: Tell
) -> list[PreparedReference]:
    """Take light and shadow out of every picture.

    Parameters
    ----------
    seed : int
        Of the noise that each picture is made from.

    Raises
    ------
    JobCanceled, PaintingFailed, OutOfMemory, ModelTooLarge, GpuBusy

    Source
    ------
    Hunyuan3D 2.0 (2025), its light removal; Brooks et al., InstructPix2Pix (2023), without
    guidance, as the published settings switch it off.
    """
    text = _empty_text(networks)
    found = []
    for number, reference in enumerate(references):

        def told(share: float, before: int = number) -> None:
            tell((before + share) / len(references))

        found.append(_delit(networks, reference.at(SIDE_PX), text, seed, told))
    for component in networks.checkpoint.components:
        networks.send_away(component)
    return found


def _delit(
    networks: ModelNetworks, reference: PreparedReference, text: Tensor, seed: int, tell: Tell
) -> PreparedReference:
    cover = cv2.erode(reference.cover, np.ones((3, 3), np.uint8))
    given = np.where(cover[..., None] > 0, reference.rgb, np.uint8(255))
    latents = encoded_pictures(networks, [given], _silent) / vae_config(networks).scaling
    tell(_ENCODED)
    made = _followed(networks, latents, text, seed, tell)
    (changed,) = decoded_pictures(networks, made, _silent)
    is_object = cover >= _OPAQUE
    matched = matched_colours(_unit(changed), _unit(given), is_object)
    share = _unit(cover)[..., None]
    on_white = np.rint((matched * share + 1 - share) * 255).astype(np.uint8)
    return PreparedReference(on_white, cover)


@torch.inference_mode()
def _followed(
    networks: ModelNetworks, picture: Tensor, text: Tensor, seed: int, tell: Tell
) -> Tensor:
    """Follow the network from noise, beside the latents of the picture; on the host."""
    component = Component.UNET
    dtype = networks.weights.of(component)
    generator = torch.Generator().manual_seed(seed)
    noise = initial_noise(generator, 1, *picture.shape[-2:])
    schedule = PaintSchedule(Solver.EULER_ANCESTRAL, STEPS, generator, _settings(networks))
    sizes = UnetConfig.from_upstream(networks.checkpoint.components[component].params)
    extra = unet_bytes(sizes, 1, picture.shape[-1], dtype.itemsize)
    with networks.lease(component, extra) as net:
        device, hosted = device_of(net), networks.hosted(component, net)
        sights = net.prepare(text.to(device, dtype))
        beside = PreparedViews(picture.to(device, dtype), None, sights)

        def ask(latents: Tensor, time: Tensor, row: PreparedViews) -> Tensor:
            velocity: Tensor = hosted(torch.cat([latents, row.maps], dim=1), time, row.sights)
            return velocity

        made = paint(
            ask,
            schedule,
            noise.to(device),
            {GuidanceRow.FULL: beside},
            guidance=None,
            on_step=partial(_tell_step, tell),
        )
        return checked(made.cpu(), "taking out light")


def matched_colours(
    changed: NDArray[np.float32], given: NDArray[np.float32], is_object: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Give a picture the mean and the spread of colours of another, where that brings it nearer.

    Parameters
    ----------
    changed, given : (h, w, 3) float32
        From 0 to 1.
    is_object : (h, w) bool
        Pixels that are looked at.

    Returns
    -------
    (h, w, 3) float32
        From 0 to 1.
    """
    if not is_object.any():
        return changed
    own, wanted = changed[is_object], given[is_object]
    spread = own.std(axis=0)
    scale = np.where(spread > _FLAT, wanted.std(axis=0) / np.maximum(spread, _FLAT), 1.0)
    moved = (changed - _KEPT * own.mean(axis=0)) * scale + _KEPT * wanted.mean(axis=0)
    moved = np.clip(moved, 0, 1).astype(np.float32)
    before = np.square(own - wanted).mean()
    after = np.square(moved[is_object] - wanted).mean()
    return changed if before < after else moved


@torch.inference_mode()
def _empty_text(networks: ModelNetworks) -> Tensor:
    with networks.lease(Component.TEXT_ENCODER) as net:
        text: Tensor = net.empty_text().cpu()
    return checked(text, "texts")


def _settings(networks: ModelNetworks) -> dict[str, object]:
    checkpoint = networks.checkpoint
    told = checkpoint.schedule if isinstance(checkpoint, PictureCheckpoint) else {}
    return {**PUBLISHED_DELIGHT, **told, "timestep_spacing": "leading"}


def _tell_step(tell: Tell, step: int, steps: int) -> None:
    tell(_ENCODED + (_FOLLOWED - _ENCODED) * step / steps)


def _unit(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return levels.astype(np.float32) / np.float32(255)


def _silent(share: float) -> None:
    del share
