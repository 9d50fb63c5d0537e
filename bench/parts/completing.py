"""Stages of completing parts: contexts, steps of the denoiser, and surfaces. Imports torch."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend.choices import PartSolver
from backend.engines.part_decode import DecodedPart, decode_part
from backend.engines.part_memory import MOST_PARTS_PER_CALL
from backend.models.hunyuan3d import shape_vae_weights
from backend.models.hunyuan3d.geo_decoder import field_of
from backend.models.hunyuan3d.shape_vae import ShapeVae
from backend.models.hunyuan3d.shape_vae_config import ShapeVaeConfig
from backend.models.xpart import denoiser_weights, part_conditioner_weights
from backend.models.xpart.denoiser import PartDenoiser
from backend.models.xpart.denoiser_config import PartDenoiserConfig
from backend.models.xpart.nearest_points import nearest_points
from backend.models.xpart.part_conditioner import PartConditioner, PartConditionerConfig
from backend.models.xpart.part_sampler import (
    call_times,
    part_noise,
    part_rows,
    part_schedule,
    sample_parts,
)
from backend.models.xpart.point_set_encoder import chosen_points, surface_order
from bench.parts import reference_conditioner, reference_decode, reference_denoiser
from bench.parts.inputs import SEED, Weights, loaded, surfaces
from bench.parts.sizes import PartSizes
from bench.parts.stage import Stage, rows_within, within
from bench.shape.outcome import volume_of
from bench.shape.random_weights import shape_a_ball

# Of the field of random weights: a ball of about 0.35, as a part among others.
PART_LEVEL = 2.94
PART_HALF_SIDE = 0.4
STEP = 1
CLOSE, CLOSE_16_BIT, SAME_VOLUME = 1e-4, 0.1, 0.01
EQUAL_TOKENS = 0.98


def _as_published(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[Any]:
    """Compute as the original does where ours has weights of 16 bits: float32 under autocast."""
    if dtype == torch.float32:
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def _tolerance(dtype: torch.dtype) -> float:
    return CLOSE if dtype == torch.float32 else CLOSE_16_BIT


def conditioner_stage(sizes: PartSizes, device: torch.device, dtype: torch.dtype) -> Stage:
    """Describe the object and its parts; what belongs together is known already."""
    config = PartConditionerConfig.from_upstream(sizes.conditioner_params)
    shapes = part_conditioner_weights.upstream_shapes(config)
    fold = partial(part_conditioner_weights.fold, config=config)
    weights = Weights.drawn(shapes, fold, device, dtype)
    with torch.device("meta"):
        network = PartConditioner(config)
    network = loaded(network, weights)
    whole = surfaces(1, sizes.surface_points).to(device)
    parts = surfaces(sizes.parts, sizes.surface_points).to(device)
    source = torch.Generator().manual_seed(SEED)
    semantics = torch.randn(sizes.surface_points, sizes.feature_channels, generator=source)
    semantics = semantics.to(device)
    order = surface_order(SEED, sizes.surface_points)

    def ours() -> Tensor:
        at_whole = chosen_points(whole, order, config.object_encoder)
        context = network.object_context(whole, at_whole, semantics, order)
        own = [part_contexts(few) for few in parts.split(MOST_PARTS_PER_CALL)]
        return torch.cat([context.expand(len(parts), -1, -1), *own]).float()

    def part_contexts(few: Tensor) -> Tensor:
        chosen = chosen_points(few, order, config.part_encoder)
        places = few[..., :3].gather(1, chosen[..., None].expand(-1, -1, 3))
        nearest = nearest_points(places, whole[0, :, :3])
        own: Tensor = network.part_context(few, chosen, semantics, nearest, order)
        return own

    def reference() -> Tensor:
        orders = (order.to(device), order.to(device))
        with _as_published(device, dtype):
            both = reference_conditioner.contexts(
                weights.published,
                sizes.vae_params | _tokens(sizes),
                whole,
                parts,
                semantics,
                orders,
            )
        return torch.cat(both).float()

    note = (
        f"{sizes.parts} parts, {sizes.surface_points} points each; a few tokens have two points "
        "equally near, and rounding chooses"
    )
    compare = rows_within(_tolerance(dtype), EQUAL_TOKENS)
    return Stage("contexts", ours, reference, compare, note=note)


def _tokens(sizes: PartSizes) -> dict[str, int]:
    return {"num_latents": sizes.context_tokens}


class Denoising:
    """A denoiser with all that it is given."""

    def __init__(self, sizes: PartSizes, device: torch.device, dtype: torch.dtype) -> None:
        config = PartDenoiserConfig.from_upstream(sizes.denoiser_params)
        shapes = denoiser_weights.upstream_shapes(config)
        fold = partial(denoiser_weights.fold, config=config)
        self.weights = Weights.drawn(shapes, fold, device, dtype)
        with torch.device("meta"):
            network = PartDenoiser(config)
        self.network: PartDenoiser = loaded(network, self.weights)
        self._sizes, self._device, self._dtype = sizes, device, dtype
        self.noise = part_noise(SEED, sizes.parts, config, dtype, device)
        source = torch.Generator().manual_seed(SEED)
        shape = (1 + sizes.parts, sizes.context_tokens, sizes.surface_width)
        whole, own = torch.randn(shape, generator=source).to(device, dtype).split([1, sizes.parts])
        self.whole, self.own = whole, own
        self.rows = part_rows(SEED, sizes.parts, config.part_rows).to(device)
        self.schedule = part_schedule(sizes.steps)

    def prepared(self) -> Any:
        """Compute what all steps share."""
        times = call_times(self.schedule, PartSolver.EULER).to(self._device)
        return self.network.prepare(self.whole, self.own, times, self.rows)

    def reference_step(self, latents: Tensor, step: int) -> Tensor:
        """Return the velocity as published: nothing is kept."""
        time = self.schedule.times[step].to(self._device).expand(len(latents))
        with _as_published(self._device, self._dtype):
            return reference_denoiser.velocity(
                self.weights.published,
                self._sizes.denoiser_params,
                latents.float(),
                time,
                self.whole.float().expand(len(latents), -1, -1),
                self.own.float(),
                self.rows,
            )

    def reference_latents(self) -> Tensor:
        """Make all calls, the last of which moves nothing."""
        latents = self.noise
        for step, length in enumerate(self.schedule.steps.tolist()):
            velocity = self.reference_step(latents, step)
            latents = (latents.float() + length * velocity.float()).to(latents.dtype)
        return latents.float()


def step_stage(sizes: PartSizes, device: torch.device, dtype: torch.dtype) -> Stage:
    """Ask for one velocity; what the steps share is there already."""
    given = Denoising(sizes, device, dtype)
    with torch.no_grad():
        prepared = given.prepared()
    place = torch.full((1,), STEP, device=device)
    return Stage(
        "denoiser step",
        lambda: given.network(given.noise, prepared, place).float(),
        lambda: given.reference_step(given.noise, STEP).float(),
        within(_tolerance(dtype)),
        note=f"{sizes.parts} parts of {sizes.latent_tokens} tokens",
    )


def trajectory_stage(sizes: PartSizes, device: torch.device, dtype: torch.dtype) -> Stage:
    """Follow the denoiser from noise, what is prepared once included."""
    given = Denoising(sizes, device, dtype)

    def ours() -> Tensor:
        prepared = given.prepared()
        return sample_parts(given.network, given.schedule, given.noise, prepared).float()

    return Stage(
        f"trajectory {sizes.steps}",
        ours,
        given.reference_latents,
        within(_tolerance(dtype)),
        note=f"{sizes.parts} parts of {sizes.latent_tokens} tokens, {sizes.steps} steps",
    )


def decode_stage(sizes: PartSizes, device: torch.device, dtype: torch.dtype) -> Stage:
    """Turn the latents of one part into a mesh."""
    config = ShapeVaeConfig.from_upstream(sizes.vae_params)
    shapes = shape_vae_weights.upstream_shapes(config)
    fold = partial(shape_vae_weights.fold, config=config)
    weights = Weights.drawn(
        shapes,
        fold,
        device,
        dtype,
        lambda state: shape_a_ball(state, config.geo.frequencies, PART_LEVEL),
    )
    with torch.device("meta"):
        network = ShapeVae(config)
    network = loaded(network, weights)
    source = torch.Generator().manual_seed(SEED)
    latents = torch.randn(1, sizes.latent_tokens, 64, generator=source).to(device, dtype)
    space = np.array([[-PART_HALF_SIDE] * 3, [PART_HALF_SIDE] * 3])

    def ours() -> DecodedPart:
        tokens = network.transformer(latents)
        field = field_of(network.geo_decoder, tokens)
        return decode_part(field, space, sizes.cells, device=device)

    def reference() -> Any:
        with _as_published(device, dtype):
            field = reference_decode.field_of_part(
                weights.published, sizes.vae_params, latents.float()
            )
            grid = reference_decode.decoded_grid(field, sizes.cells, device, sizes.coarsest_cells)
        mesh = reference_decode.cleaned(*reference_decode.surface(grid), sizes.cells)
        return mesh, sum(grid.calls)

    return Stage(
        "decode",
        ours,
        reference,
        _same_part,
        note=f"{sizes.cells} cells along the cube, a part of a third of its side",
    )


def _same_part(ours: DecodedPart, reference: Any) -> dict[str, Any]:
    mesh, queries = reference
    apart = abs(volume_of(ours.mesh) / abs(mesh.volume) - 1)
    return {
        "queries": ours.queries,
        "queries_reference": queries,
        "faces": len(ours.mesh.faces),
        "faces_reference": len(mesh.faces),
        "deviation": float(apart),
        "holds": bool(apart < SAME_VOLUME),
    }
