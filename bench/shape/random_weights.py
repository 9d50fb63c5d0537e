"""Random weights under published names, whose field is a lumpy ball. Imports torch."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from backend.models.hunyuan3d import (
    conditioner,
    flux_weights,
    plain_weights,
    shape_vae_weights,
)
from backend.models.hunyuan3d.conditioner import Conditioner, ConditionerConfig
from backend.models.hunyuan3d.flux_config import FluxConfig
from backend.models.hunyuan3d.flux_denoiser import FluxDenoiser
from backend.models.hunyuan3d.plain_config import PlainConfig
from backend.models.hunyuan3d.plain_denoiser import PlainDenoiser
from backend.models.hunyuan3d.shape_vae import ShapeVae
from backend.models.hunyuan3d.shape_vae_config import ShapeVaeConfig
from bench.shape.sizes import Sizes

SEED = 7
SMALL = 0.02
# The field is cos x + cos y + cos z, with a little of the same at 4 times the frequency, minus its
# value about 0.7 from the middle.
BALL_LEVEL = 2.77
LUMPS = 0.03
# How much of the channels the ball has: so steep that the field reaches its bounds, as that of a
# trained network, within about a twentieth of a unit.
BALL_SHARE = 120.0

State = dict[str, Tensor]


@dataclass(frozen=True)
class Networks:
    """Networks of one model on one device, and the weights that they were made of.

    Parameters
    ----------
    published : mapping
        Weights by published name and section: ``model``, ``vae``, ``conditioner``.
    """

    sizes: Sizes
    conditioner: Conditioner
    denoiser: FluxDenoiser | PlainDenoiser
    vae: ShapeVae
    published: Mapping[str, State]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.vae.transformer.latents_in.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return self.vae.transformer.latents_in.weight.dtype


def random_networks(sizes: Sizes, device: torch.device, dtype: torch.dtype) -> Networks:
    """Build the three networks of a model; the same sizes give the same weights on one device."""
    encoder, encoder_state = random_conditioner(sizes, device, dtype)
    denoiser, denoiser_state = random_denoiser(sizes, device, dtype)
    vae, vae_state = random_vae(sizes, device, dtype)
    published = {"model": denoiser_state, "vae": vae_state, "conditioner": encoder_state}
    return Networks(sizes, encoder, denoiser, vae, published)


def random_conditioner(
    sizes: Sizes, device: torch.device, dtype: torch.dtype
) -> tuple[Conditioner, State]:
    """Build the image encoder."""
    config = ConditionerConfig.from_upstream(sizes.conditioner_params)
    state = random_state(conditioner.upstream_shapes(config), device, dtype)
    with torch.device("meta"):
        network = Conditioner(config)
    return _loaded(network, conditioner.fold(state, config)), state


def random_denoiser(
    sizes: Sizes, device: torch.device, dtype: torch.dtype
) -> tuple[FluxDenoiser | PlainDenoiser, State]:
    """Build the denoiser."""
    params = sizes.denoiser_params
    network: FluxDenoiser | PlainDenoiser
    if sizes.is_flux:
        flux = FluxConfig.from_upstream(params)
        state = random_state(flux_weights.upstream_shapes(flux), device, dtype)
        with torch.device("meta"):
            network = FluxDenoiser(flux)
        return _loaded(network, flux_weights.fold(state, flux)), state
    plain = PlainConfig.from_upstream(params)
    state = random_state(plain_weights.upstream_shapes(plain), device, dtype)
    with torch.device("meta"):
        network = PlainDenoiser(plain)
    return _loaded(network, plain_weights.fold(state, plain)), state


def random_vae(sizes: Sizes, device: torch.device, dtype: torch.dtype) -> tuple[ShapeVae, State]:
    """Build the decoder from latents to a shape."""
    config = ShapeVaeConfig.from_upstream(sizes.vae_params)
    state = random_state(shape_vae_weights.upstream_shapes(config), device, dtype)
    shape_a_ball(state, config.geo.frequencies)
    with torch.device("meta"):
        network = ShapeVae(config)
    return _loaded(network, shape_vae_weights.fold(state, config)), state


def _loaded(network: Any, state: State) -> Any:
    network.load_state_dict(state, strict=True, assign=True)
    return network.eval().requires_grad_(False)


def random_state(
    shapes: Mapping[str, torch.Size], device: torch.device, dtype: torch.dtype
) -> State:
    """Draw weights of given shapes."""
    return {name: _random(name, shape, device, dtype) for name, shape in shapes.items()}


def _random(name: str, shape: torch.Size, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Draw one tensor; its name alone decides what, so that no order matters."""
    source = torch.Generator(device).manual_seed(SEED + zlib.crc32(name.encode()))
    drawn = torch.randn(shape, generator=source, device=device, dtype=dtype)
    if len(shape) == 1:
        is_scale = not name.endswith("bias")
        return drawn.mul_(SMALL).add_(float(is_scale))
    if "token" in name or "position" in name:
        return drawn.mul_(SMALL)
    return drawn.mul_(1 / math.sqrt(math.prod(shape[1:])))


def shape_a_ball(state: State, frequencies: int, level: float = BALL_LEVEL) -> None:
    """Write a ball over one direction of the channels that the answer is read from.

    Normalising the channels bounds the field on both sides, as training does with distances; the
    other directions, which stay random, roughen its surface. The level decides its size; at 3
    there is nothing left of it.
    """
    given, answer = "geo_decoder.query_proj", "geo_decoder.output_proj"
    weight = state[f"{given}.weight"]
    signs = torch.ones(len(weight), device=weight.device, dtype=weight.dtype)
    signs[1::2] = -1
    for axis in range(3):
        cosines = 3 + 3 * frequencies + axis * frequencies
        weight[:, cosines] = BALL_SHARE * signs
        weight[:, cosines + 2] = LUMPS * BALL_SHARE * signs
    state[f"{given}.bias"].copy_(-level * BALL_SHARE * signs)
    state[f"{answer}.weight"].copy_(signs[None] / len(weight))
    state[f"{answer}.bias"].zero_()
