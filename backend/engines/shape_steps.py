"""The steps from pictures to shapes through the networks of one model. Imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from backend.engines.called_denoiser import CalledDenoiser
from backend.engines.engine import FailedItem
from backend.engines.model_networks import device_of, networks_of
from backend.engines.native_shape import decoded_mesh, in_pixels
from backend.engines.shape_memory import FEWEST_POINTS, TokenWork, grid_bytes, point_bytes
from backend.engines.shape_model_choice import ShapeEffort
from backend.engines.shape_task import Shape, ShapeTask
from backend.errors import CheckpointConfigInvalid, NoSurfaceFound
from backend.models.checkpoints.checkpoint import (
    Checkpoint,
    Component,
    ComponentSource,
    SchedulerKind,
    SchedulerSpec,
    ShapeCheckpoint,
)
from backend.models.checkpoints.hunyuan_description import CONSISTENCY_GRID_SIZE
from backend.models.hunyuan3d.conditioner import ConditionerConfig
from backend.models.hunyuan3d.denoiser import Schedule
from backend.models.hunyuan3d.picture import View, prepared_views
from backend.models.hunyuan3d.sampler import Guidance, initial_latents, sample
from backend.models.hunyuan3d.schedules import consistency_schedule, euler_schedule
from backend.profiling.recorder import profile_stage
from backend.profiling.spans import SpanKind
from backend.profiling.stage_facts import FactName, note_fact
from backend.runtime_settings import SettingName, value_of

CUT_OFF = "The shape reaches beyond the space it is looked for in, and was closed there."


class Tell(Protocol):
    """Where the steps report; what it raises is raised."""

    def step(self, done: int, steps: int) -> None:
        """So many calls of the denoiser are done."""

    def decode(self, item: int, share: float) -> None:
        """So much of one item has been read off."""


class ShapeSteps:
    """Runs one model for tasks that are alike.

    Parameters
    ----------
    effort : ShapeEffort
    tell : Tell
    """

    def __init__(self, effort: ShapeEffort, tell: Tell) -> None:
        self._effort = effort
        self._tell = tell
        self._networks = networks_of(effort.model.id)
        self._checkpoint = _of_shapes(self._networks.checkpoint)

    def prepared(self, tasks: Sequence[ShapeTask]) -> tuple[Tensor, tuple[int, ...] | None]:
        """Centre the objects on white.

        Returns
        -------
        Tensor, shape (batch, 3, side, side), or (batch, views, 3, side, side) float32
        tuple of int or None
            From which side the views are, for a model of several views.
        """
        spec = self._checkpoint.picture
        with profile_stage("prepare_pictures"):
            found = [
                prepared_views(
                    {View(side): rgba for side, rgba in task.views.items()},
                    size_px=spec.size_px,
                    border_ratio=spec.border_share,
                )
                for task in tasks
            ]
        pixels = torch.from_numpy(np.stack([views for views, _ in found]))
        if self._checkpoint.takes_views:
            return pixels, found[0][1]
        return pixels[:, 0], None

    @torch.inference_mode()
    def encoded(self, prepared: tuple[Tensor, tuple[int, ...] | None]) -> Tensor:
        """Describe the pictures; the encoder may leave the device afterwards."""
        pixels, views = prepared
        component = Component.CONDITIONER
        lease = self._networks.lease(component, self._encode_bytes(pixels))
        with profile_stage("encode_picture", SpanKind.GPU), lease as net:
            encoder = self._networks.hosted(component, net)
            context: Tensor = encoder(pixels.to(device_of(net)), views)
        return context

    @torch.inference_mode()
    def denoised(self, context: Tensor, seeds: Sequence[int]) -> Tensor:
        """Follow the denoiser from noise, one seed per item."""
        component = Component.DENOISER
        schedule = self._schedule()
        tokens = self._latent_tokens()
        extra = self._denoise_bytes(context, tokens)
        with profile_stage("denoise", SpanKind.GPU), self._networks.lease(component, extra) as net:
            noise = initial_latents(
                seeds, tokens, net.latent_channels, self._networks.weights.network, device_of(net)
            )
            joint = bool(value_of(SettingName.CFG_BATCH))
            latents = sample(
                CalledDenoiser(net, self._networks.hosted(component, net)),
                schedule,
                noise,
                context.to(device_of(net)),
                guidance=Guidance(self._effort.guidance, joint=joint),
                on_step=self._tell.step,
            )
            self._note_loop(len(schedule.times), net.has_guidance_input, joint=joint)
        return latents

    @torch.inference_mode()
    def read_off(self, latents: Tensor, tasks: Sequence[ShapeTask]) -> list[Shape | FailedItem]:
        """Turn latents into meshes over the objects in the pictures; some may have no surface."""
        with self._networks.lease(Component.VAE, self._decode_bytes()) as vae:
            return [
                self._read_one(vae, latents[item : item + 1], item, task)
                for item, task in enumerate(tasks)
            ]

    def _read_one(
        self, vae: Any, latents: Tensor, item: int, task: ShapeTask
    ) -> Shape | FailedItem:
        latents = latents.to(device_of(vae), self._networks.weights.decoder)
        tell = partial(self._tell.decode, item)
        try:
            decoded = decoded_mesh(self._networks, vae, latents, self._effort, tell)
        except NoSurfaceFound as error:
            return FailedItem(error)
        placed = in_pixels(decoded.mesh, task.mask)
        notice = CUT_OFF if decoded.is_cut_off else ""
        return Shape(placed, None, notice, follows_outline=False, facts=self._facts(task))

    def _schedule(self) -> Schedule:
        return schedule_of(self._checkpoint.scheduler, self._effort)

    def _latent_tokens(self) -> int:
        return _size_in(self._checkpoint.components[Component.VAE], "num_latents")

    def _encode_bytes(self, pixels: Tensor) -> int:
        params = self._checkpoint.components[Component.CONDITIONER].params
        try:
            encoder = ConditionerConfig.from_upstream(params).encoder
        except (KeyError, TypeError, ValueError):
            return 0  # loading it will say what is wrong
        pictures = pixels.shape[:-3].numel()
        item_bytes = self._networks.weights.network.itemsize
        return TokenWork(pictures, encoder.tokens, encoder.width, item_bytes).size_bytes

    def _denoise_bytes(self, context: Tensor, tokens: int) -> int:
        source = self._checkpoint.components[Component.DENOISER]
        width = _size_in(source, "hidden_size", "width")
        batch, context_tokens, _ = context.shape
        rows = 2 * batch if value_of(SettingName.CFG_BATCH) else batch
        work = TokenWork(
            rows, tokens + context_tokens, width, self._networks.weights.network.itemsize
        )
        return work.size_bytes

    def _decode_bytes(self) -> int:
        width = _size_in(self._checkpoint.components[Component.VAE], "width")
        points = FEWEST_POINTS * point_bytes(width, self._networks.weights.decoder.itemsize)
        return points + grid_bytes(self._effort.cells)

    def _note_loop(self, steps: int, has_guidance_input: bool, *, joint: bool) -> None:
        is_guided = not has_guidance_input and self._effort.guidance >= 0
        forwards = 2 if is_guided and not joint else 1
        note_fact(
            FactName.LOOP,
            {"steps": steps, "fewer_steps": None, "forwards_per_step": forwards},
        )

    def _facts(self, task: ShapeTask) -> dict[str, Any]:
        effort = self._effort
        return {
            "model": effort.model.id,
            "revision": self._networks.revision,
            "steps": effort.steps,
            "guidance": effort.guidance,
            "cells": effort.cells,
            "decoder": effort.decoder.value,
            "views": sorted(task.views),
            "precision": self._networks.weights.title,
            "licence": effort.model.licence.value,
        }


def _of_shapes(checkpoint: Checkpoint) -> ShapeCheckpoint:
    if not isinstance(checkpoint, ShapeCheckpoint):
        raise CheckpointConfigInvalid(f"{checkpoint.folder} holds no model that makes shapes.")
    return checkpoint


def schedule_of(spec: SchedulerSpec, effort: ShapeEffort) -> Schedule:
    """Return when the denoiser of a model is asked."""
    if spec.kind is SchedulerKind.CONSISTENCY:
        return consistency_schedule(effort.steps, spec.grid_size or CONSISTENCY_GRID_SIZE)
    return euler_schedule(effort.steps, spec.shift)


def _size_in(source: ComponentSource, *names: str) -> int:
    """Return a size that a description tells, by one of the names that it may use.

    Raises
    ------
    CheckpointConfigInvalid
        It tells no such number.
    """
    found = next((source.params[name] for name in names if name in source.params), None)
    if isinstance(found, int):
        return found
    raise CheckpointConfigInvalid(
        f"The description of the {source.architecture} of {source.file.parent} tells no number "
        f"for {' or '.join(repr(name) for name in names)}."
    )
