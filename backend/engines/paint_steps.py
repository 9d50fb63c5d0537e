"""The steps from pictures and maps to painted views, through one model. Imports torch."""

from __future__ import annotations

import gc
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.engines.model_networks import device_of, networks_of
from backend.engines.paint_memory import PaintPlan, PaintWork, unet_bytes
from backend.engines.paint_model_choice import PaintEffort
from backend.engines.paint_networks import (
    checked,
    decoded_pictures,
    described_picture,
    encoded_pictures,
)
from backend.engines.paint_pixels import shares
from backend.engines.paint_references import PreparedReference
from backend.engines.paint_stages import Tell
from backend.engines.part_room import room_beside
from backend.errors import CheckpointConfigInvalid, OutOfMemory
from backend.gpu.cache_clearing import Occasion
from backend.gpu.faults import Fault, classify
from backend.gpu_optimizer import get_gpu_optimizer
from backend.meshes.texturing.cameras import OrthographicCamera, WeightedView
from backend.meshes.texturing.view_maps import ViewMaps
from backend.models.checkpoints.checkpoint import Checkpoint, Component, PictureCheckpoint
from backend.models.hunyuan3d_paint.camera_index import camera_index
from backend.models.hunyuan3d_paint.paint_config import PaintConfig
from backend.models.hunyuan3d_paint.paint_sampler import Rows, paint, prepared_rows
from backend.models.hunyuan3d_paint.paint_savings import ALL_SAVINGS
from backend.models.hunyuan3d_paint.paint_unet import PaintUnet
from backend.models.hunyuan3d_paint.schedules import (
    PUBLISHED,
    PaintSchedule,
    Solver,
    initial_noise,
)
from backend.models.hunyuan3d_paint.view_inputs import ViewInputs
from backend.models.hunyuan3d_paint.voxel_indices import level_voxels
from backend.profiling.stage_facts import FactName, note_fact

_ENCODED, _REFERRED = 0.7, 0.85

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EncodedViews:
    """What the network that paints is told, in the memory of the host.

    Parameters
    ----------
    inputs : ViewInputs
    references : int
        Pictures of the object.
    """

    inputs: ViewInputs
    references: int


class PaintSteps:
    """Runs one model for one object, one network at a time.

    Parameters
    ----------
    effort : PaintEffort
    seed : int
        Of whatever is drawn at random.

    Raises
    ------
    UnknownModel, LicenceNotAccepted, WeightsMissing, CheckpointConfigInvalid
    """

    def __init__(self, effort: PaintEffort, seed: int) -> None:
        self._effort = effort
        self._seed = seed
        self._networks = networks_of(effort.model.id)
        self._checkpoint = _of_pictures(self._networks.checkpoint)
        self._config = self._read_config()

    def encoded(
        self,
        references: Sequence[PreparedReference],
        views: Sequence[WeightedView],
        maps: Sequence[ViewMaps],
        tell: Tell,
    ) -> EncodedViews:
        """Describe the pictures and the maps; each network may leave the device afterwards."""
        side_px = self._effort.view_px
        pictures = [reference.at(side_px).rgb for reference in references]
        normals, positions = [one.normals for one in maps], [one.positions for one in maps]
        latents = encoded_pictures(
            self._networks,
            [*pictures, *normals, *positions],
            lambda share: tell(_ENCODED * share),
        )
        shown, of_normals, of_positions = latents.split([len(pictures), len(maps), len(maps)])
        tell(_ENCODED)
        features = self._referred(shown)
        tell(_REFERRED)
        is_pbr = self._effort.is_pbr
        inputs = ViewInputs(
            of_normals,
            of_positions,
            features,
            cameras=None if is_pbr else _camera_indices(views),
            dino=described_picture(references[0].rgb) if is_pbr else None,
            voxels=self._voxels(positions, latents.shape[-1]) if is_pbr else (),
        )
        return EncodedViews(inputs, len(pictures))

    @torch.inference_mode()
    def denoised(self, views: EncodedViews, tell: Tell) -> Tensor:
        """Follow the network from noise.

        Returns
        -------
        Tensor, shape (materials * views, channels, height, width) float32
            In the memory of the host.

        Notes
        -----
        Where memory runs out while keys are kept from step to step, all steps are taken again
        without: the result is the same.
        """
        dtype = self._networks.weights.of(Component.UNET)
        count, _, height, _ = views.inputs.normals.shape
        work = PaintWork(self._config, count, views.references, height, dtype.itemsize)
        plan = work.plan(room_beside(self._networks.weight_bytes(Component.UNET)))
        try:
            return self._followed(views, plan, tell)
        except (RuntimeError, OutOfMemory) as error:
            if not plan.keeps_keys or classify(error) is not Fault.OUT_OF_MEMORY:
                raise
        # here the failed frames are gone, with all that they held
        log.warning("no room to keep keys from step to step: painting again without them")
        gc.collect()
        get_gpu_optimizer().clear_cache_if_worth_it(Occasion.OUT_OF_MEMORY)
        return self._followed(views, work.plan(0), tell)

    def _followed(self, views: EncodedViews, plan: PaintPlan, tell: Tell) -> Tensor:
        component = Component.UNET
        guidance, dtype = self._effort.guidance, self._networks.weights.of(component)
        count, _, height, width = views.inputs.normals.shape
        generator = torch.Generator().manual_seed(self._seed)
        noise = initial_noise(generator, count * len(self._config.materials), height, width)
        schedule = PaintSchedule(self._solver, self._effort.steps, generator, self._settings())
        with self._networks.lease(component, plan.extra_bytes) as net:
            rows = self._rows(net, views.inputs, dtype, keeps_keys=plan.keeps_keys)
            self._note_loop(len(rows))
            latents = paint(
                self._networks.hosted(component, net),
                schedule,
                noise.to(device_of(net)),
                rows,
                guidance=guidance,
                on_step=lambda step, steps: tell(step / steps),
            )
            return checked(latents.cpu(), "painting")

    def decoded(self, latents: Tensor, tell: Tell) -> list[NDArray[np.uint8]]:
        """Return the painted pictures, all views of the first material first."""
        return decoded_pictures(self._networks, latents, tell)

    def facts(self) -> dict[str, Any]:
        """Tell how the views were painted; JSON-ready."""
        effort = self._effort
        return {
            "model": effort.model.id,
            "revision": self._networks.revision,
            "licence": effort.model.licence.value,
            "steps": effort.steps,
            "guidance": effort.guidance,
            "solver": self._solver.value,
            "view_px": effort.view_px,
            "precision": self._networks.weights.title,
        }

    @torch.inference_mode()
    def _referred(self, latents: Tensor) -> dict[str, Tensor]:
        """Look at the pictures once; returns what every block sees of them, on the host."""
        component = Component.REFERENCE
        dtype = self._networks.weights.of(component)
        size = unet_bytes(self._config.unet, len(latents), latents.shape[-1], dtype.itemsize)
        with self._networks.lease(component, size) as net:
            hosted = self._networks.hosted(component, net)
            seen = hosted(latents.to(device_of(net), dtype))
            found = {name: checked(one.cpu(), "references") for name, one in seen.items()}
        self._networks.send_away(component)
        return found

    def _rows(
        self, net: PaintUnet, inputs: ViewInputs, dtype: torch.dtype, *, keeps_keys: bool
    ) -> Rows:
        device = device_of(net)
        moved = ViewInputs(
            inputs.normals.to(device, dtype),
            inputs.positions.to(device, dtype),
            {name: one.to(device, dtype) for name, one in inputs.reference.items()},
            cameras=None if inputs.cameras is None else inputs.cameras.to(device),
            dino=None if inputs.dino is None else inputs.dino.to(device, dtype),
            voxels=tuple(one.to(device) for one in inputs.voxels),
        )
        savings = replace(ALL_SAVINGS, kept_keys=keeps_keys)
        return prepared_rows(net, moved, self._effort.guidance, savings)

    def _voxels(self, positions: Sequence[NDArray[np.uint8]], latent_px: int) -> tuple[Tensor, ...]:
        return level_voxels(shares(positions), latent_px, len(self._config.unet.widths))

    @property
    def _solver(self) -> Solver:
        if self._effort.is_pbr:
            return Solver.UNIPC
        return Solver.LCM if self._effort.is_turbo else Solver.EULER_ANCESTRAL

    def _settings(self) -> dict[str, Any]:
        told = self._checkpoint.schedule
        return {**PUBLISHED, **told, "timestep_spacing": PUBLISHED["timestep_spacing"]}

    def _note_loop(self, rows: int) -> None:
        facts = {"steps": self._effort.steps, "fewer_steps": None, "forwards_per_step": rows}
        note_fact(FactName.LOOP, facts)

    def _read_config(self) -> PaintConfig:
        source = self._checkpoint.components[Component.UNET]
        try:
            return PaintConfig.from_upstream(source.params)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointConfigInvalid(
                f"The description of the {source.architecture} of {source.file.parent} makes no "
                f"network: {error}."
            ) from error


def _of_pictures(checkpoint: Checkpoint) -> PictureCheckpoint:
    if not isinstance(checkpoint, PictureCheckpoint):
        raise CheckpointConfigInvalid(f"{checkpoint.folder} holds no model that paints.")
    return checkpoint


def _camera_indices(views: Sequence[WeightedView]) -> Tensor:
    cameras = [view.camera for view in views]
    return torch.tensor(
        [
            camera_index(round(camera.azimuth_deg), round(camera.elevation_deg))
            for camera in cameras
            if isinstance(camera, OrthographicCamera)
        ]
    )
