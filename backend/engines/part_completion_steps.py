"""The steps from points on a surface to parts, through the networks of X-Part. Imports torch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.engines.model_networks import device_of, networks_of
from backend.engines.part_contexts import PartContexts, encoded_parts
from backend.engines.part_decode import DecodedPart, decoded_part
from backend.engines.part_effort import PartEffort
from backend.engines.part_memory import DenoisePlan, decode_bytes, plan_denoise
from backend.engines.part_points import PartPoints
from backend.engines.part_room import room_beside
from backend.engines.part_space import padded_extent, part_space
from backend.engines.xpart import MODEL_ID
from backend.errors import CheckpointConfigInvalid, NoSurfaceFound
from backend.models.checkpoints.catalogue import model_of
from backend.models.checkpoints.checkpoint import Component
from backend.models.hunyuan3d.denoiser import Schedule
from backend.models.hunyuan3d.shape_vae import ShapeVae
from backend.models.hunyuan3d.shape_vae_config import ShapeVaeConfig
from backend.models.xpart.denoiser import PartDenoiser, PreparedParts
from backend.models.xpart.denoiser_config import PartDenoiserConfig
from backend.models.xpart.part_block import BlockWay
from backend.models.xpart.part_conditioner import PartConditionerConfig
from backend.models.xpart.part_sampler import (
    call_times,
    part_noise,
    part_rows,
    part_schedule,
    sample_parts,
)
from backend.profiling.recorder import profile_stage
from backend.profiling.spans import SpanKind
from backend.profiling.stage_facts import FactName, note_fact

Tell = Callable[[float], None]
Config = TypeVar("Config")


class PartSteps:
    """Runs X-Part for one object, one network at a time.

    Parameters
    ----------
    effort : PartEffort
    seed : int
        Of whatever is drawn at random.

    Raises
    ------
    UnknownModel, LicenceNotAccepted, WeightsMissing, CheckpointConfigInvalid
    """

    def __init__(self, effort: PartEffort, seed: int) -> None:
        self._effort = effort
        self._seed = seed
        self._networks = networks_of(MODEL_ID)
        self._conditioner = self._config(Component.CONDITIONER, PartConditionerConfig.from_upstream)
        self._denoiser = self._config(Component.DENOISER, PartDenoiserConfig.from_upstream)
        self._vae = self._config(Component.VAE, ShapeVaeConfig.from_upstream)
        self._groups = 1

    @property
    def surface_points(self) -> int:
        """Points of a surface that the networks were trained on."""
        return self._conditioner.object_encoder.points

    def encoded(self, points: PartPoints, tell: Tell) -> PartContexts:
        """Describe the object and its parts; see ``encoded_parts``."""
        return encoded_parts(self._networks, self._conditioner, points, self._seed, tell)

    @torch.inference_mode()
    def denoised(self, contexts: PartContexts, tell: Tell) -> Tensor:
        """Follow the denoiser from noise.

        Returns
        -------
        Tensor, shape (parts, tokens, channels)
            In the memory of the host.
        """
        parts, dtype = len(contexts.own), self._networks.weights.of(Component.DENOISER)
        plan = self._plan(contexts)
        rows = part_rows(self._seed, parts, self._denoiser.part_rows)
        noise = part_noise(self._seed, parts, self._denoiser, dtype)
        lease = self._networks.lease(Component.DENOISER, plan.extra_bytes)
        with lease as net, profile_stage("denoise", SpanKind.GPU):
            self._groups = -(-parts // plan.parts_together)
            self._note_loop()
            made = []
            for number in range(self._groups):
                some = slice(number * plan.parts_together, (number + 1) * plan.parts_together)
                told = partial(_tell_share, tell, number, self._groups)
                prepared = self._prepared(net, contexts, some, rows[some], plan)
                made.append(self._followed(net, noise[some], prepared, told).cpu())
                del prepared  # what the next group needs would come on top of it
        return torch.cat(made)

    @torch.inference_mode()
    def read_off(
        self,
        latents: Tensor,
        points: PartPoints,
        tell: Tell,
        take: Callable[[int, DecodedPart | None], None],
    ) -> None:
        """Turn latents into meshes in the units of the networks, one by one.

        Parameters
        ----------
        take : callable
            Given the place of each part and its mesh as soon as it is there; None where the
            network has no surface for it. What it raises is raised.
        """
        spaces = [part_space(box, own) for box, own in zip(points.boxes, points.own, strict=True)]
        lease = self._networks.lease(Component.VAE, self._decode_bytes(spaces))
        with lease as vae, profile_stage("decode_parts", SpanKind.GPU):
            for number, space in enumerate(spaces):
                own = latents[number : number + 1]
                own = own.to(device_of(vae), self._networks.weights.of(Component.VAE))
                told = partial(_tell_share, tell, number, len(spaces))
                take(number, self._surface(vae, own, space, told))

    def facts(self) -> dict[str, Any]:
        """Tell how the parts were made; JSON-ready."""
        effort = self._effort
        return {
            "model": MODEL_ID,
            "revision": self._networks.revision,
            "steps": effort.steps,
            "solver": effort.solver.value,
            "cells": effort.cells,
            "quality": effort.quality.value if effort.quality else None,
            "is_lossy": not effort.is_published,
            "is_published_way": effort.is_published and self._groups == 1,
            "groups": self._groups,
            "precision": self._networks.weights.title,
            "licence": model_of(MODEL_ID).licence.value,
        }

    def _surface(
        self, vae: ShapeVae, latents: Tensor, space: NDArray[np.float64], tell: Tell
    ) -> DecodedPart | None:
        try:
            return decoded_part(self._networks, vae, latents, space, self._effort.cells, tell)
        except NoSurfaceFound:
            return None

    def _prepared(
        self,
        net: PartDenoiser,
        contexts: PartContexts,
        some: slice,
        rows: Tensor,
        plan: DenoisePlan,
    ) -> PreparedParts:
        device = device_of(net)
        return net.prepare(
            contexts.whole.to(device),
            contexts.own[some].to(device),
            call_times(self._schedule(), self._effort.solver).to(device),
            rows.to(device),
            keys_for_blocks=plan.keys_for_blocks,
            way=BlockWay(parts_per_call=plan.parts_per_call),
        )

    def _followed(
        self, net: PartDenoiser, noise: Tensor, prepared: PreparedParts, tell: Tell
    ) -> Tensor:
        return sample_parts(
            self._networks.hosted(Component.DENOISER, net),
            self._schedule(),
            noise.to(device_of(net)),
            prepared,
            self._effort.solver,
            lambda call, calls: tell(call / calls),
        )

    def _schedule(self) -> Schedule:
        return part_schedule(self._effort.steps)

    def _plan(self, contexts: PartContexts) -> DenoisePlan:
        parts, tokens, _ = contexts.own.shape
        item_bytes = self._networks.weights.of(Component.DENOISER).itemsize
        room = room_beside(self._networks.weight_bytes(Component.DENOISER))
        return plan_denoise(self._denoiser, parts, tokens, item_bytes, room)

    def _decode_bytes(self, spaces: list[NDArray[np.float64]]) -> int:
        shapes = [padded_extent(space, self._effort.cells)[0].shape for space in spaces]
        corners = max(prod(side + 1 for side in shape) for shape in shapes)
        return decode_bytes(
            corners, self._vae.geo.width, self._networks.weights.of(Component.VAE).itemsize
        )

    def _note_loop(self) -> None:
        facts = {"steps": self._effort.calls, "fewer_steps": None, "forwards_per_step": 1}
        note_fact(FactName.LOOP, facts)

    def _config(self, component: Component, read: Callable[[Any], Config]) -> Config:
        """Read the sizes of a network; raises CheckpointConfigInvalid."""
        source = self._networks.checkpoint.components[component]
        try:
            return read(source.params)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointConfigInvalid(
                f"The description of the {source.architecture} of {source.file.parent} makes no "
                f"network: {error}."
            ) from error


def _tell_share(tell: Tell, number: int, count: int, share: float) -> None:
    """Tell the share of all that a share of one of several is."""
    tell((number + share) / count)
