"""Engine ``hunyuan3d_paint``: paints every side of a mesh after pictures, from its own weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from backend.catalog import CutOutParams
from backend.engines.engine import FailedItem, Needs
from backend.engines.gpu_presence import has_gpu
from backend.engines.paint_baking import baked, enlarged, joined_materials
from backend.engines.paint_drawing import drawing_device
from backend.engines.paint_model_choice import PaintEffort, effort_for, unavailable_reason
from backend.engines.paint_references import (
    BORDER_SHARE,
    PreparedReference,
    prepared_references,
)
from backend.engines.paint_stages import PaintStages, counted
from backend.engines.paint_surface import (
    chosen_views,
    enlarged_px,
    paint_surface,
    view_maps,
)
from backend.engines.stage_portions import StagePortions
from backend.engines.texture_task import TextureResult, TextureTask
from backend.errors import BadInput, PaintingFailed
from backend.meshes.texturing.cameras import WeightedView
from backend.profiling.recorder import profile_stage
from backend.profiling.spans import SpanKind
from backend.progress import StageProgress
from backend.settings import Settings
from backend.units import SystemClock

LIBRARIES, STEPS_MODULE = "load_libraries", "backend.engines.paint_steps"
PREPARE, LAYOUT, VIEWS, DELIGHT = "prepare_pictures", "unwrap", "render_maps", "delight"
ENCODE, DENOISE, DECODE = "encode_pictures", "denoise", "decode_pictures"
UPSCALE, BAKE = "upscale", "bake"
STEPS_OF_DENOISE = 4
"""Of progress, for each step from noise to latents."""
_PARTS = {PREPARE: 1, LAYOUT: 6, VIEWS: 6, DELIGHT: 20, ENCODE: 6, DECODE: 8, UPSCALE: 12, BAKE: 10}


class Hunyuan3DPaint:
    """Native networks that paint, on a GPU, or in hours on a processor."""

    name = "hunyuan3d_paint"
    title = "Hunyuan3D-Paint (its weights are needed)"
    # It runs without a GPU too; said of a device of its own, calls come one at a time.
    needs = Needs(
        weights=("a texture model of 'python -m backend models list'",),
        device="cuda",
        is_too_slow_without_gpu=True,
    )

    def available(self) -> str | None:
        """Need torch, diffusers and the weights of a model whose licence was accepted."""
        return unavailable_reason(Settings.from_env())

    def batch_key(self, params: CutOutParams) -> str:
        """Batch by all parameters."""
        return params.model_dump_json(exclude={"seed"})

    def cost_key(self, params: CutOutParams) -> str:
        """Cost by model and effort."""
        asked = {
            "preset", "texture_model", "texture_steps", "texture_guidance", "texture_views",
            "view_px", "delight", "upscale", "texture_size_px",
        }  # fmt: skip
        return params.model_dump_json(include=asked)

    def run(
        self, batch: Sequence[TextureTask], progress: StageProgress
    ) -> list[TextureResult | FailedItem]:
        """Paint every mesh, one after the other; one that cannot be painted fails alone.

        Raises
        ------
        JobCanceled, UnknownModel, EngineUnavailable, LicenceNotAccepted, WeightsMissing,
        CheckpointConfigInvalid, PackageMissing, OutOfMemory, ModelTooLarge, GpuBusy
        """
        with profile_stage(LIBRARIES):  # the first job of a worker waits for them
            import_module(STEPS_MODULE)
            settings = Settings.from_env()
            on_gpu = has_gpu(settings)
            runs = [
                _Run(task, effort_for(task.wishes, settings, on_gpu=on_gpu), drawing_device(on_gpu))
                for task in batch
            ]
        total = sum(run.steps for run in runs)
        done, results = 0, []
        for run in runs:
            portions = StagePortions(progress, run.portions, done, total)
            results.append(_result(run, PaintStages(portions, SystemClock())))
            done += run.steps
        progress.step(total, total)
        return results


@dataclass(frozen=True)
class _Run:
    """A task, and how it is done.

    Parameters
    ----------
    device : str or None
        Where surfaces are drawn.
    """

    task: TextureTask
    effort: PaintEffort
    device: str | None

    @property
    def portions(self) -> dict[str, int]:
        """Steps of progress of each stage."""
        asked = {
            DELIGHT: len(self.task.references) if self.effort.delight else 0,
            DENOISE: self.effort.steps,
            UPSCALE: 1 if self.effort.upscaler else 0,
        }
        order = (PREPARE, LAYOUT, VIEWS, DELIGHT, ENCODE, DENOISE, DECODE, UPSCALE, BAKE)
        parts = {**_PARTS, DENOISE: STEPS_OF_DENOISE}
        return {name: parts[name] * asked.get(name, 1) for name in order}

    @property
    def steps(self) -> int:
        return sum(self.portions.values())


def _result(run: _Run, stages: PaintStages) -> TextureResult | FailedItem:
    try:
        return _painted(run, stages)
    except (BadInput, PaintingFailed) as error:
        return FailedItem(error)


def _painted(run: _Run, stages: PaintStages) -> TextureResult:
    """Prepare pictures and maps, follow the networks one at a time, bake what they paint."""
    from backend.engines.paint_steps import PaintSteps

    task, effort = run.task, run.effort
    steps = PaintSteps(effort, task.seed)
    with stages.stage(PREPARE):
        border = None if effort.is_pbr else BORDER_SHARE
        references = prepared_references(task.references, border)
    with stages.stage(LAYOUT) as tell:
        surface = paint_surface(task, counted(tell))
    with stages.stage(VIEWS) as tell:
        views = chosen_views(surface, effort, run.device, tell)
        maps = view_maps(surface, views, effort, run.device, tell)
    references = _delit(run, references, stages)
    with stages.stage(ENCODE, SpanKind.GPU) as tell:
        encoded = steps.encoded(references, views, maps, tell)
    with stages.stage(DENOISE, SpanKind.GPU) as tell:
        latents = steps.denoised(encoded, tell)
    with stages.stage(DECODE, SpanKind.GPU) as tell:
        pictures = steps.decoded(latents, tell)
    pictures = _upscaled(run, pictures, stages)
    with stages.stage(BAKE) as tell:
        side_px = enlarged_px(effort.view_px)
        large = joined_materials([enlarged(one, side_px) for one in pictures], len(views))
        textured = baked(surface, views, large, task.size_px, run.device, tell)
    facts = {**steps.facts(), **_facts(run, views, stages)}
    return TextureResult(textured, effort.notice, facts)


def _delit(
    run: _Run, references: list[PreparedReference], stages: PaintStages
) -> list[PreparedReference]:
    """Take light and shadow out of the pictures, where a model is to."""
    if run.effort.delight is None:
        return references
    from backend.engines.model_networks import networks_of
    from backend.engines.paint_delight import delit_references

    with stages.stage(DELIGHT, SpanKind.GPU) as tell:
        networks = networks_of(run.effort.delight.id)
        return delit_references(networks, references, run.task.seed, tell)


def _upscaled(run: _Run, pictures: list[Any], stages: PaintStages) -> list[Any]:
    """Enlarge pictures by a network, where one is to."""
    if run.effort.upscaler is None:
        return pictures
    from backend.engines.model_networks import networks_of
    from backend.engines.paint_networks import upscaled_pictures

    with stages.stage(UPSCALE, SpanKind.GPU) as tell:
        return upscaled_pictures(networks_of(run.effort.upscaler.id), pictures, tell)


def _facts(run: _Run, views: Sequence[WeightedView], stages: PaintStages) -> dict[str, Any]:
    effort = run.effort
    return {
        "has_metal_and_roughness": effort.is_pbr,
        "views": [_direction(view) for view in views],
        "references_deg": [one.azimuth_deg for one in run.task.references],
        "delight": None if effort.delight is None else effort.delight.id,
        "upscaler": None if effort.upscaler is None else effort.upscaler.id,
        "keeps_layout": run.task.layout is not None,
        "seed": run.task.seed,
        "stages_s": dict(stages.seconds),
    }


def _direction(view: WeightedView) -> list[float]:
    """Azimuth and elevation in degrees."""
    camera: Any = view.camera
    return [float(camera.azimuth_deg), float(camera.elevation_deg)]
