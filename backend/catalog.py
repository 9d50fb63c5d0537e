"""What can be made: pipelines, their stages and their parameters.

A leaf module: the web process validates requests and writes the OpenAPI document from it
without importing an engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from backend.choices import (
    BackgroundEngine,
    BackSide,
    CompletionEngine,
    FieldDecoder,
    LengthUnit,
    MeshFileFormat,
    MeshFront,
    OtherView,
    PartQuality,
    PartSolver,
    Preset,
    SegmentationEngine,
    ShapeEngine,
    ShapeMode,
    ShapeModel,
    SpeechEngine,
    SpeechTask,
    TextureEngine,
    TextureModel,
    UpAxis,
)
from backend.errors import FieldProblem, InvalidParameter
from backend.parameters import (
    MAX_PARTS,
    MAX_PLACE,
    MAX_SEED,
    MAX_SPOKEN,
    CompletePartsParams,
    CompletionParams,
    CutOutParams,
    DivisionParams,
    ImageTo3DParams,
    ImageToPartsParams,
    PartAtPointParams,
    PipelineParams,
    PrepareMeshParams,
    SegmentPartsParams,
    SpeechParams,
    TextureMeshParams,
    TextureParams,
    TunedPipeline,
    TuneParams,
)

__all__ = [
    "MAX_PARTS",
    "MAX_PLACE",
    "MAX_SEED",
    "MAX_SPOKEN",
    "PIPELINES",
    "AnyStageName",
    "BackSide",
    "BackgroundEngine",
    "CompletePartsParams",
    "CompletionEngine",
    "CompletionParams",
    "CutOutParams",
    "DivisionParams",
    "FieldDecoder",
    "ImageTo3DParams",
    "ImageToPartsParams",
    "JobOptions",
    "LengthUnit",
    "MeshFileFormat",
    "MeshFront",
    "MeshStageName",
    "OtherView",
    "PartAtPointParams",
    "PartQuality",
    "PartSolver",
    "PartStageName",
    "PipelineName",
    "PipelineParams",
    "PipelineSpec",
    "PrepareMeshParams",
    "Preset",
    "Queue",
    "SegmentPartsParams",
    "SegmentationEngine",
    "ShapeEngine",
    "ShapeMode",
    "ShapeModel",
    "SpeechEngine",
    "SpeechParams",
    "SpeechStageName",
    "SpeechTask",
    "StageName",
    "TextureEngine",
    "TextureMeshParams",
    "TextureModel",
    "TextureParams",
    "TuneParams",
    "TuneStageName",
    "TunedPipeline",
    "UpAxis",
    "Upload",
    "batch_key",
    "cost_key",
    "parse_options",
    "parse_params",
    "pipeline_spec",
]

_Model = TypeVar("_Model", bound=BaseModel)


class PipelineName(StrEnum):
    """Products of this version."""

    IMAGE_TO_3D = "image_to_3d"
    CUT_OUT = "cut_out"
    TUNE = "tune"
    SEGMENT_PARTS = "segment_parts"
    COMPLETE_PARTS = "complete_parts"
    IMAGE_TO_PARTS = "image_to_parts"
    PART_AT_POINT = "part_at_point"
    PREPARE_MESH = "prepare_mesh"
    TEXTURE_MESH = "texture_mesh"
    SPEECH = "speech"


class StageName(StrEnum):
    """Stages, named as in the profiles."""

    IMAGE_PREPROCESSING = "image_preprocessing"
    SHAPE_GENERATION = "shape_generation"
    MESH_REFINEMENT = "mesh_refinement"
    TEXTURE_SYNTHESIS = "texture_synthesis"
    MESH_EXPORT = "mesh_export"


class TuneStageName(StrEnum):
    """Stages of `tune`, which runs another pipeline many times."""

    REFERENCE_RUNS = "reference_runs"
    SETTING_TRIALS = "setting_trials"
    FINAL_CHECK = "final_check"


class PartStageName(StrEnum):
    """Stages of pipelines that make parts; what they write is `StageName.MESH_EXPORT`."""

    MESH_LOADING = "mesh_loading"
    PART_SEGMENTATION = "part_segmentation"
    PART_COMPLETION = "part_completion"


class MeshStageName(StrEnum):
    """Stages of `prepare_mesh` beside reading and writing."""

    MESH_REPAIR = "mesh_repair"
    MESH_DECIMATION = "mesh_decimation"


class SpeechStageName(StrEnum):
    """Stages of `speech`."""

    AUDIO_LOADING = "audio_loading"
    TRANSCRIPTION = "transcription"
    SPEECH_SYNTHESIS = "speech_synthesis"
    AUDIO_EXPORT = "audio_export"


AnyStageName = StageName | TuneStageName | PartStageName | MeshStageName | SpeechStageName


class Upload(StrEnum):
    """What kind of file a pipeline is sent."""

    IMAGE = "image"
    MESH = "mesh"
    AUDIO = "audio"


class Queue(StrEnum):
    """Which worker runs a job."""

    GPU = "gpu"
    CPU = "cpu"


class JobOptions(BaseModel):
    """What a submit may say besides the pipeline's own parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str | None = Field(default=None, max_length=200, description="Display name.")
    priority: str = Field(
        default="normal", pattern="^(low|normal|high)$", description="Queue priority."
    )
    webhook_url: str | None = Field(
        default=None, min_length=1, max_length=2048, description="Told when the job has ended."
    )


@dataclass(frozen=True)
class PipelineSpec:
    """One product: its stages in order, its parameters, and the worker that runs it."""

    name: PipelineName
    title: str
    stages: tuple[AnyStageName, ...]
    params: type[PipelineParams]
    queue: Queue
    listed: bool
    """Whether its jobs appear in the gallery and in lists by default."""
    upload: Upload = Upload.IMAGE


PIPELINES: dict[PipelineName, PipelineSpec] = {
    spec.name: spec
    for spec in (
        PipelineSpec(
            PipelineName.IMAGE_TO_3D,
            "Picture to textured 3D model",
            tuple(StageName),
            ImageTo3DParams,
            Queue.GPU,
            listed=True,
        ),
        PipelineSpec(
            PipelineName.CUT_OUT,
            "Find the object in a picture",
            (StageName.IMAGE_PREPROCESSING,),
            CutOutParams,
            Queue.CPU,
            listed=False,
        ),
        PipelineSpec(
            PipelineName.TUNE,
            "Find the fastest settings by measurement",
            tuple(TuneStageName),
            TuneParams,
            Queue.GPU,  # one job at a time runs there, so that nothing disturbs the measurement
            listed=False,
        ),
        PipelineSpec(
            PipelineName.SEGMENT_PARTS,
            "Split a mesh into parts",
            (PartStageName.MESH_LOADING, PartStageName.PART_SEGMENTATION, StageName.MESH_EXPORT),
            SegmentPartsParams,
            Queue.GPU,
            listed=True,
            upload=Upload.MESH,
        ),
        PipelineSpec(
            PipelineName.COMPLETE_PARTS,
            "Split a mesh into closed parts",
            (*PartStageName, StageName.MESH_EXPORT),
            CompletePartsParams,
            Queue.GPU,
            listed=True,
            upload=Upload.MESH,
        ),
        PipelineSpec(
            PipelineName.IMAGE_TO_PARTS,
            "Picture to closed parts",
            (
                *(stage for stage in StageName if stage is not StageName.MESH_EXPORT),
                PartStageName.PART_SEGMENTATION,
                PartStageName.PART_COMPLETION,
                StageName.MESH_EXPORT,
            ),
            ImageToPartsParams,
            Queue.GPU,
            listed=True,
        ),
        PipelineSpec(
            PipelineName.PART_AT_POINT,
            "Find the part at a point of a mesh",
            (PartStageName.PART_SEGMENTATION,),
            PartAtPointParams,
            Queue.GPU,
            listed=False,
            upload=Upload.MESH,
        ),
        PipelineSpec(
            PipelineName.PREPARE_MESH,
            "Check, repair and convert a mesh",
            (PartStageName.MESH_LOADING, *MeshStageName, StageName.MESH_EXPORT),
            PrepareMeshParams,
            Queue.GPU,
            listed=True,
            upload=Upload.MESH,
        ),
        PipelineSpec(
            PipelineName.TEXTURE_MESH,
            "Colour a mesh by pictures",
            (
                PartStageName.MESH_LOADING,
                StageName.IMAGE_PREPROCESSING,
                StageName.TEXTURE_SYNTHESIS,
                StageName.MESH_EXPORT,
            ),
            TextureMeshParams,
            Queue.GPU,
            listed=True,
            upload=Upload.MESH,
        ),
        PipelineSpec(
            PipelineName.SPEECH,
            "Clone a voice or edit a recording",
            tuple(SpeechStageName),
            SpeechParams,
            Queue.GPU,
            listed=True,
            upload=Upload.AUDIO,
        ),
    )
}


def pipeline_spec(name: str) -> PipelineSpec:
    """Find a pipeline by name; raises InvalidParameter if there is none."""
    try:
        return PIPELINES[PipelineName(name)]
    except ValueError as error:
        known = ", ".join(PIPELINES)
        problem = FieldProblem("/pipeline", f"must be one of: {known}")
        raise InvalidParameter(f"There is no pipeline {name!r}.", fields=(problem,)) from error


def parse_params(pipeline: str, raw: dict[str, Any]) -> PipelineParams:
    """Validate the parameters of a pipeline.

    Form fields arrive as text, JSON as values; numbers and booleans are read from both.

    Raises
    ------
    InvalidParameter
        With one FieldProblem per wrong field.
    """
    return _validated(pipeline_spec(pipeline).params, raw, "/params")


def parse_options(raw: dict[str, Any]) -> JobOptions:
    """Validate name, priority and webhook; raises InvalidParameter."""
    return _validated(JobOptions, raw, "")


def batch_key(pipeline: str, params: PipelineParams) -> str:
    """Key of jobs that may run in one batch: everything but seed and picture."""
    body = params.model_dump_json(exclude={"seed"})
    return f"{pipeline}:{body}"


def cost_key(pipeline: str, params: PipelineParams) -> str:
    """Key of jobs that take about the same time: pipeline, preset, engines, texture."""
    if isinstance(params, TuneParams):
        return f"{pipeline}:{params.preset}:{params.budget_s:g}"
    if isinstance(params, CompletePartsParams):
        return f"{pipeline}:{params.preset}:{_division_key(params)}:{_completion_key(params)}"
    if isinstance(params, SegmentPartsParams):
        return f"{pipeline}:{params.preset}:{_division_key(params)}"
    if isinstance(params, TextureMeshParams):
        return f"{pipeline}:{params.preset}:{_painting_key(params.engine, params)}"
    if isinstance(params, SpeechParams):
        return f"{pipeline}:{params.engine}:{_speech_key(params)}"
    if not isinstance(params, ImageTo3DParams):
        return pipeline
    textured = _texture_key(params)
    engine: str = params.engine
    if params.model is not ShapeModel.AUTO:
        engine = f"{engine}/{params.model}"
    key = f"{pipeline}:{params.preset}:{engine}:{textured}"
    if isinstance(params, ImageToPartsParams):
        return f"{key}:{params.part_engine}:{_completion_key(params)}"
    return key


def _speech_key(params: SpeechParams) -> str:
    """Task, length in steps of 200 letters, and passes, as people read them on a page."""
    bound = 200 * (len(params.text or params.transcript) // 200 + 1)
    key = f"{params.task}:below {bound} letters"
    return key if params.passes == 1 else f"{key}:{params.passes} passes"


def _texture_key(params: ImageTo3DParams) -> str:
    if not params.texture:
        return "plain"
    key = _painting_key(params.texture_engine, params)
    plain = _painting_key(TextureEngine.AUTO, TextureParams())
    return "textured" if key == plain else f"textured/{key}"


def _painting_key(engine: TextureEngine, params: TextureParams) -> str:
    given = _given(steps=params.texture_steps, views=params.texture_views, px=params.view_px)
    return f"{engine}/{params.texture_model}{given}"


def _division_key(params: SegmentPartsParams) -> str:
    return params.engine + _given(points=params.points, prompts=params.prompts)


def _completion_key(params: CompletionParams) -> str:
    return params.completion + _given(
        steps=params.part_steps,
        solver=params.part_solver,
        cells=params.part_cells,
        quality=params.part_quality,
    )


def _given(**asked: object) -> str:
    """Name what was asked for, as people read it on a page; nothing where nothing was."""
    return "".join(f", {name} {value}" for name, value in asked.items() if value is not None)


def _validated(model: type[_Model], raw: dict[str, Any], root: str) -> _Model:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        problems = tuple(
            FieldProblem("/".join([root, *map(str, item["loc"])]), item["msg"])
            for item in error.errors(include_url=False)
        )
        first = problems[0]
        name = first.pointer.rsplit("/", 1)[-1]
        raise InvalidParameter(f"{name}: {first.detail}", fields=problems) from error
