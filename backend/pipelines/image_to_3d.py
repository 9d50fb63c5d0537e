"""Pipeline ``image_to_3d``: a picture in, a closed, textured model out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backend.batch_processor import BatchedStage, needs_device_alone, run_engine
from backend.catalog import (
    ImageTo3DParams,
    PipelineName,
    PipelineParams,
    Preset,
    ShapeMode,
    ShapeModel,
    StageName,
    TextureModel,
    TextureParams,
)
from backend.engines.background_task import CutOut
from backend.engines.engine import AnyEngine, Role
from backend.engines.registry import EngineRegistry
from backend.engines.shape_task import NetworkWishes, Rgba, Shape, ShapeTask
from backend.engines.texture_task import (
    ReferencePicture,
    TextureResult,
    TextureTask,
    TextureWishes,
)
from backend.errors import MeshInvalid
from backend.meshes.export import write_glb
from backend.meshes.frame import PictureFrame, to_metres
from backend.meshes.glb_notes import SHAPE_MODE
from backend.meshes.masks import agreement, iou
from backend.meshes.picture import Picture
from backend.meshes.render import covered_pixels
from backend.meshes.simplify import simplify
from backend.meshes.smoothing import taubin
from backend.meshes.textured_mesh import TexturedMesh
from backend.meshes.triangle_mesh import TriangleMesh
from backend.meshes.validate import validate
from backend.pipelines.cut_out import find_object, find_views, mask_facts, write_mask_files
from backend.pipelines.engine_of_model import shape_engine, texture_engine
from backend.pipelines.model_files import write_model_files
from backend.pipelines.pipeline import (
    OutputFile,
    PipelineOutcome,
    PipelineRequest,
    rounded_seconds,
    stage,
)
from backend.pipelines.unheeded_wishes import warn_of_unheeded
from backend.profiling.recorder import join_pipeline
from backend.progress import ProgressSink, StageProgress

SMOOTH_ROUNDS = 6
LEAST_AGREEMENT, REACH_SHARE = 0.5, 0.02
WIDENED_BELOW = 0.8
MANY_MORE = 1.2


@dataclass(frozen=True)
class Effort:
    """What a preset spends."""

    working_px: int
    resolution: int
    faces: int
    texture_px: int


EFFORTS = {
    Preset.DRAFT: Effort(384, 96, 10_000, 512),
    Preset.STANDARD: Effort(512, 160, 40_000, 1024),
    Preset.HIGH: Effort(1024, 256, 80_000, 2048),
}


@dataclass(frozen=True)
class Body:
    """A checked mesh in metres, and where it stands in the picture."""

    mesh: TriangleMesh
    frame: PictureFrame
    facts: dict[str, Any]


@dataclass(frozen=True)
class MadeModel:
    """A model before it is written.

    Parameters
    ----------
    outputs : list of OutputFile
        What was written on the way: mask, cut-out, preview.
    facts : dict
        JSON-ready findings.
    """

    body: Body
    textured: TexturedMesh | None
    outputs: list[OutputFile]
    facts: dict[str, Any]

    @property
    def notes(self) -> dict[str, Any]:
        """What its GLB says of itself: a texture of another picture must know of a guess."""
        mode = self.facts["shape"]["mode"]
        return {} if mode is None else {SHAPE_MODE: mode}


class ImageTo3DPipeline:
    """Picture to textured model."""

    name = PipelineName.IMAGE_TO_3D

    def __init__(self, registry: EngineRegistry) -> None:
        self._registry = registry

    def run(self, request: PipelineRequest, sink: ProgressSink) -> PipelineOutcome:
        """Make the model; raises NoForeground, NoSurfaceFound, MeshInvalid, JobCanceled."""
        with join_pipeline(self.name) as times:
            made = self.make(request, sink)
            with stage(StageName.MESH_EXPORT, sink) as progress:
                files = write_model_files(
                    made.body.mesh, made.textured, request.out_dir, progress, made.notes
                )
        facts = made.facts | {"timings_s": rounded_seconds(times)}
        return PipelineOutcome(made.outputs + files, facts)

    def make(self, request: PipelineRequest, sink: ProgressSink) -> MadeModel:
        """Do everything but the export; raises as ``run`` does."""
        params = own_params(request.params)
        effort = effort_of(params)
        out_dir = request.out_dir
        with stage(StageName.IMAGE_PREPROCESSING, sink) as progress:
            picture = Picture.read(request.inputs["image"])
            working = picture.scaled_to(effort.working_px)
            found = find_object(working, request.inputs, params, self._registry, progress)
            outputs = write_mask_files(picture, found, out_dir, sink)
            views = find_views(picture, found, request.inputs, params, self._registry, progress)

        with stage(StageName.SHAPE_GENERATION, sink) as progress:
            shape = self._shape(working, found, views, params, progress)

        with stage(StageName.MESH_REFINEMENT, sink) as progress:
            body = refine(shape, found, params.size_m, effort.faces, progress)
            outputs.append(write_preview(body.mesh, out_dir, sink))

        with stage(StageName.TEXTURE_SYNTHESIS, sink) as progress:
            textured = self._texture(picture, found, shape, body, params, progress)

        facts = {
            "mask": mask_facts(found),
            "shape": shape_facts(shape),
            "mesh": body.facts,
            "texture": texture_facts(textured),
        }
        return MadeModel(body, textured.mesh if textured else None, outputs, facts)

    def batched_stages(self, raw: PipelineParams) -> list[BatchedStage]:
        """Name the stages whose engines take batches or the device; raises EngineUnavailable."""
        params = own_params(raw)
        shape = self._shape_engine(params)
        stages = [BatchedStage(StageName.SHAPE_GENERATION, shape)]
        if params.texture:
            texture = self._texture_engine(params)
            stages.append(BatchedStage(StageName.TEXTURE_SYNTHESIS, texture))
        return [one for one in stages if needs_device_alone(one.engine)]

    def _shape_engine(self, params: ImageTo3DParams) -> AnyEngine:
        return self._registry.choose(Role.SHAPE, shape_engine(params.engine, params.model))

    def _texture_engine(self, params: ImageTo3DParams) -> AnyEngine:
        name = texture_engine(params.texture_engine, params.texture_model)
        return self._registry.choose(Role.TEXTURE, name)

    def _shape(
        self,
        working: Picture,
        found: CutOut,
        views: Mapping[str, Rgba],
        params: ImageTo3DParams,
        progress: StageProgress,
    ) -> Shape:
        engine = self._shape_engine(params)
        progress.engine_chosen(Role.SHAPE, engine.name)
        if len(views) > 1 and not getattr(engine, "takes_views", False):
            progress.warn("Only the front picture was used: this engine takes no other views.")
        task = ShapeTask(
            working.rgb,
            found.mask,
            params.shape_mode,
            effort_of(params).resolution,
            params.depth_scale,
            seed=params.seed or 0,
            views=views,
            wishes=wishes_of(params),
        )
        shape: Shape
        shape = run_engine(engine, task, progress)
        if shape.notice:
            progress.warn(shape.notice)
        return shape

    def _texture(
        self,
        picture: Picture,
        found: CutOut,
        shape: Shape,
        body: Body,
        params: ImageTo3DParams,
        progress: StageProgress,
    ) -> TextureResult | None:
        if not params.texture:
            return None
        engine = self._texture_engine(params)
        progress.engine_chosen(Role.TEXTURE, engine.name)
        task = TextureTask(
            body.mesh,
            (ReferencePicture(picture, found.mask, body.frame),),
            effort_of(params).texture_px,
            params.back_side,
            is_inflated=shape.mode is not None,
            seed=params.seed or 0,
            wishes=texture_wishes(params.preset, params),
        )
        warn_of_unheeded(engine, task.wishes, progress)
        textured: TextureResult
        textured = run_engine(engine, task, progress)
        if textured.notice:
            progress.warn(textured.notice)
        return textured


def own_params(params: PipelineParams) -> ImageTo3DParams:
    """Take those of ``image_to_3d`` out of the parameters of a pipeline that goes on from it."""
    names = set(ImageTo3DParams.model_fields)
    return ImageTo3DParams.model_validate(params.model_dump(include=names))


def wishes_of(params: ImageTo3DParams) -> NetworkWishes:
    """What was asked of an engine with networks."""
    model = None if params.model is ShapeModel.AUTO else params.model.value
    return NetworkWishes(
        params.preset,
        model,
        params.steps,
        params.guidance,
        params.grid_resolution,
        params.decoder,
    )


def shape_facts(shape: Shape) -> dict[str, Any]:
    """JSON-ready findings about how the shape was made."""
    mode = shape.mode.value if shape.mode else None
    return {"mode": mode, "notice": shape.notice} | shape.facts


def effort_of(params: ImageTo3DParams) -> Effort:
    """The preset's effort with the parameters that were given."""
    base = EFFORTS[params.preset]
    return Effort(
        base.working_px,
        params.grid_resolution or base.resolution,
        params.target_faces or base.faces,
        params.texture_size_px or base.texture_px,
    )


def refine(
    shape: Shape, found: CutOut, size_m: float, target_faces: int, progress: StageProgress
) -> Body:
    """Smooth, simplify, place and check; raises MeshInvalid, NoSurfaceFound."""
    smooth = taubin(shape.mesh, SMOOTH_ROUNDS) if needs_smoothing(shape) else shape.mesh
    progress.step(1, 4)
    simplified = simplify(smooth, target_faces)
    if len(simplified.mesh.faces) > MANY_MORE * target_faces:
        progress.warn("The mesh keeps more faces than asked for: fewer would open the surface.")
    progress.step(2, 4)
    mesh, frame = to_metres(simplified.mesh, size_m)
    facts = validate(mesh)
    progress.step(3, 4)
    outline_iou = compare_outline(mesh, frame, found, must_agree=shape.follows_outline)
    if shape.follows_outline and outline_iou < WIDENED_BELOW:
        progress.warn("Thin parts were made thicker, otherwise they would be lost.")
    if facts["bodies"] > 1:
        progress.warn(f"The model consists of {facts['bodies']} separate bodies.")
    progress.step(4, 4)
    return Body(mesh, frame, facts | {"outline_iou": round(outline_iou, 4)})


def needs_smoothing(shape: Shape) -> bool:
    """Whether the surface shows the cells of its grid: networks and slabs have none to hide."""
    return shape.follows_outline and shape.mode is not ShapeMode.SLAB


def compare_outline(
    mesh: TriangleMesh, frame: PictureFrame, found: CutOut, *, must_agree: bool
) -> float:
    """Overlap of model and mask from the front.

    Strands that were widened lower the overlap but stay within reach.

    Raises
    ------
    MeshInvalid
        They must agree and have little in common.
    """
    seen = covered_pixels(mesh, frame, found.mask.shape[:2])
    if not must_agree:
        return iou(seen, found.mask)
    shared = agreement(seen, found.mask, REACH_SHARE * max(found.mask.shape))
    if shared < LEAST_AGREEMENT:
        raise MeshInvalid(f"Only {100 * shared:.0f} % of the model agrees with the outline.")
    return iou(seen, found.mask)


def write_preview(mesh: TriangleMesh, out_dir: Path, sink: ProgressSink) -> OutputFile:
    """Write the untextured mesh, to be shown while the texture is made."""
    preview = OutputFile("preview.glb", "glb", "preview", out_dir / "preview.glb")
    write_glb(mesh, preview.path)
    sink.artifact(preview.name, preview.role, preview.path)
    return preview


def texture_wishes(preset: Preset, params: TextureParams) -> TextureWishes:
    """What was asked of a texture engine with networks."""
    model = None if params.texture_model is TextureModel.AUTO else params.texture_model.value
    return TextureWishes(
        preset,
        model,
        params.texture_steps,
        params.texture_guidance,
        params.texture_views,
        params.view_px,
        params.delight,
        params.upscale,
    )


def texture_facts(textured: TextureResult | None) -> dict[str, Any]:
    """JSON-ready findings about the texture."""
    if textured is None:
        return {"size_px": None, "back_side": None}
    height, width = np.shape(textured.mesh.texture)[:2]
    return {"size_px": [width, height]} | textured.facts
