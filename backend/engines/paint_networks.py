"""The networks that help to paint, one call at a time. Imports torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.engines.model_networks import ModelNetworks, device_of, networks_of
from backend.engines.paint_memory import decode_bytes, encode_bytes, upscale_bytes
from backend.engines.paint_pixels import levels, shares, signed
from backend.engines.paint_stages import Tell
from backend.engines.shape_memory import TokenWork
from backend.errors import PaintingFailed
from backend.models.checkpoints.checkpoint import Component
from backend.models.dinov2_picture import dinov2_pixels
from backend.models.hunyuan3d_paint.picture_vae_config import PictureVaeConfig
from backend.models.upscaling.rrdb_config import RrdbConfig

DINO_ID = "dinov2-giant"
DINO_TOKENS, DINO_WIDTH = 257, 1536

Pictures = Sequence[NDArray[np.uint8]]


def checked(numbers: Tensor, what: str) -> Tensor:
    """Return numbers that are all finite; raises PaintingFailed."""
    if not bool(torch.isfinite(numbers).all()):
        raise PaintingFailed(f"The network for {what} gave numbers that are not finite.")
    return numbers


@torch.inference_mode()
def encoded_pictures(networks: ModelNetworks, pictures: Pictures, tell: Tell) -> Tensor:
    """Return the latents of pictures of one size, one at a time.

    Returns
    -------
    Tensor, shape (pictures, channels, height, width)
        In the memory of the host.
    """
    dtype = networks.weights.of(Component.VAE)
    extra = encode_bytes(vae_config(networks), len(pictures[0]), dtype.itemsize)
    found = []
    with networks.lease(Component.VAE, extra) as vae:
        for number, picture in enumerate(signed(pictures)):
            tell(number / len(pictures))
            found.append(vae.encode(picture[None].to(device_of(vae), dtype)).cpu())
    return checked(torch.cat(found), "pictures")


@torch.inference_mode()
def decoded_pictures(
    networks: ModelNetworks, latents: Tensor, tell: Tell
) -> list[NDArray[np.uint8]]:
    """Return the pictures of latents, one at a time."""
    dtype, config = networks.weights.of(Component.VAE), vae_config(networks)
    extra = decode_bytes(config, latents.shape[-1] * config.shrinking, dtype.itemsize)
    found = []
    with networks.lease(Component.VAE, extra) as vae:
        for number, latent in enumerate(latents):
            tell(number / len(latents))
            picture = vae.decode_one(latent.to(device_of(vae), dtype))
            found.append(levels(checked(picture, "pictures") / 2 + 0.5))
    return found


@torch.inference_mode()
def described_picture(picture: NDArray[np.uint8]) -> Tensor:
    """Describe a picture by DINOv2, shape (1, tokens, channels), in the memory of the host."""
    networks = networks_of(DINO_ID)
    dtype = networks.weights.of(Component.IMAGE_ENCODER)
    work = TokenWork(1, DINO_TOKENS, DINO_WIDTH, dtype.itemsize)
    with networks.lease(Component.IMAGE_ENCODER, work.size_bytes) as net:
        encoder = networks.hosted(Component.IMAGE_ENCODER, net)
        found: Tensor = encoder(dinov2_pixels(picture).to(device_of(net), dtype)).cpu()
    networks.send_away(Component.IMAGE_ENCODER)
    return checked(found, "describing the picture")


@torch.inference_mode()
def upscaled_pictures(
    networks: ModelNetworks, pictures: Pictures, tell: Tell
) -> list[NDArray[np.uint8]]:
    """Return pictures four times as large, one at a time."""
    component = Component.UPSCALER
    dtype = networks.weights.of(component)
    config = RrdbConfig.from_upstream(networks.checkpoint.components[component].params)
    extra = upscale_bytes(config, len(pictures[0]), dtype.itemsize)
    found = []
    with networks.lease(component, extra) as net:
        upscale = networks.hosted(component, net)
        for number, picture in enumerate(pictures):
            tell(number / len(pictures))
            larger = upscale(shares([picture]).to(device_of(net), dtype))
            found.append(levels(checked(larger, "enlarging pictures")))
    return found


def vae_config(networks: ModelNetworks) -> PictureVaeConfig:
    """Read the sizes of the autoencoder; loading it has checked them or will."""
    return PictureVaeConfig.from_upstream(networks.checkpoint.components[Component.VAE].params)
