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
    BackgroundEngine as BackgroundEngine,
)
from backend.choices import (
    BackSide as BackSide,
)
from backend.choices import (
    FieldDecoder as FieldDecoder,
)
from backend.choices import (
    LengthUnit as LengthUnit,
)
from backend.choices import (
    MeshFileFormat as MeshFileFormat,
)
from backend.choices import (
    OtherView as OtherView,
)
from backend.choices import (
    Preset as Preset,
)
from backend.choices import (
    SegmentationEngine as SegmentationEngine,
)
from backend.choices import (
    ShapeEngine as ShapeEngine,
)
from backend.choices import (
    ShapeMode as ShapeMode,
)
from backend.choices import (
    ShapeModel as ShapeModel,
)
from backend.choices import (
    UpAxis as UpAxis,
)
from backend.errors import FieldProblem, InvalidParameter

MAX_SEED = 2**63 - 1
MAX_PARTS = 1000
_Model = TypeVar("_Model", bound=BaseModel)


class PipelineName(StrEnum):
    """Products of this version."""

    IMAGE_TO_3D = "image_to_3d"
    CUT_OUT = "cut_out"
    TUNE = "tune"
    SEGMENT_PARTS = "segment_parts"
    COMPLETE_PARTS = "complete_parts"
    IMAGE_TO_PARTS = "image_to_parts"
    PREPARE_MESH = "prepare_mesh"


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


AnyStageName = StageName | TuneStageName | PartStageName | MeshStageName


class Upload(StrEnum):
    """What kind of file a pipeline is sent."""

    IMAGE = "image"
    MESH = "mesh"


class Queue(StrEnum):
    """Which worker runs a job."""

    GPU = "gpu"
    CPU = "cpu"


class PipelineParams(BaseModel):
    """Parameters of any pipeline."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CutOutParams(PipelineParams):
    """Parameters of `cut_out`: find the object, show the mask."""

    background: BackgroundEngine = Field(
        default=BackgroundEngine.AUTO, description="How the object is told from the background."
    )


class ImageTo3DParams(CutOutParams):
    """Parameters of `image_to_3d`. What is null follows from the preset."""

    engine: ShapeEngine = Field(default=ShapeEngine.AUTO, description="Engine of the shape stage.")
    preset: Preset = Field(default=Preset.STANDARD, description="draft, standard or high.")
    seed: int | None = Field(
        default=None,
        ge=0,
        le=MAX_SEED,
        description="Same seed, same result; drawn and reported if absent.",
    )
    model: ShapeModel = Field(
        default=ShapeModel.AUTO, description="Weights of hunyuan3d; auto goes by the preset."
    )
    steps: int | None = Field(
        default=None, ge=1, le=200, description="Steps of hunyuan3d from noise to shape."
    )
    guidance: float | None = Field(
        default=None, ge=0, le=30, description="How strictly hunyuan3d follows the picture."
    )
    decoder: FieldDecoder = Field(
        default=FieldDecoder.FULL,
        description="flash compares points with the nearest part of a shape only: faster, and "
        "a little different.",
    )
    shape_mode: ShapeMode = Field(
        default=ShapeMode.AUTO,
        description="How inflate guesses: inflate (round), lathe (turned) or slab (flat).",
    )
    depth_scale: float = Field(
        default=1.0, ge=0.2, le=3.0, description="Thickness relative to the guess of inflate."
    )
    texture: bool = Field(default=True, description="Bake the picture into a texture.")
    back_side: BackSide = Field(default=BackSide.AUTO, description="Colour of the side not seen.")
    texture_size_px: int | None = Field(
        default=None, ge=256, le=4096, description="Atlas side in pixels."
    )
    grid_resolution: int | None = Field(
        default=None, ge=48, le=512, description="Cells along the longest side."
    )
    target_faces: int | None = Field(
        default=None, ge=500, le=200_000, description="Faces after simplification."
    )
    size_m: float = Field(default=1.0, ge=0.001, le=100.0, description="Longest side in metres.")


class DivisionParams(PipelineParams):
    """How finely a surface is divided into parts."""

    part_count: int | None = Field(
        default=None, ge=1, le=MAX_PARTS, description="Number of parts; null as the engine judges."
    )
    granularity: float = Field(
        default=1.0,
        ge=0.25,
        le=4.0,
        description="Without a number of parts: below 1 gives more of them, above 1 fewer.",
    )


class SegmentPartsParams(DivisionParams):
    """Parameters of `segment_parts`: a mesh becomes numbered parts."""

    engine: SegmentationEngine = Field(
        default=SegmentationEngine.AUTO, description="Engine that finds the parts."
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        le=MAX_SEED,
        description="Same seed, same parts; drawn and reported if absent.",
    )


class CompletePartsParams(SegmentPartsParams):
    """Parameters of `complete_parts`: each part of a mesh becomes a closed mesh.

    A file of part numbers that is sent along decides instead of them.
    """


class ImageToPartsParams(DivisionParams, ImageTo3DParams):
    """Parameters of `image_to_parts`: those of `image_to_3d` and of the division."""

    part_engine: SegmentationEngine = Field(
        default=SegmentationEngine.AUTO, description="Engine that finds the parts."
    )


class PrepareMeshParams(PipelineParams):
    """Parameters of `prepare_mesh`: a mesh is counted, mended, reduced and written anew."""

    repair: bool = Field(
        default=True,
        description="Join vertices, drop broken faces, turn faces outwards, fill small holes.",
    )
    hole_share: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="As a share of the longest side of its piece; 0 fills none.",
    )
    debris_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Loose pieces below this share of the longest side are dropped; 0 keeps all.",
    )
    target_faces: int | None = Field(
        default=None,
        ge=4,
        le=2_000_000,
        description="At most so many faces; all are kept if absent.",
    )
    format: MeshFileFormat = Field(
        default=MeshFileFormat.GLB, description="GLB and OBJ keep textures."
    )
    from_units: LengthUnit = Field(
        default=LengthUnit.M, description="What one unit of the file that is sent means."
    )
    from_up: UpAxis = Field(default=UpAxis.Y, description="Which axis of that file points up.")
    units: LengthUnit = Field(
        default=LengthUnit.M, description="Unit of OBJ, PLY and STL; GLB is in metres."
    )
    up: UpAxis = Field(default=UpAxis.Y, description="Up-axis of OBJ, PLY and STL; GLB has Y.")
    size_m: float | None = Field(
        default=None,
        ge=1e-4,
        le=1000,
        description="Scale it until its longest side is so long; as it is if absent.",
    )


class TunedPipeline(StrEnum):
    """Pipelines whose settings can be tuned."""

    IMAGE_TO_3D = PipelineName.IMAGE_TO_3D.value


class TuneParams(CutOutParams):
    """Parameters of `tune`: measure which settings are fastest on this machine."""

    target: TunedPipeline = Field(
        default=TunedPipeline.IMAGE_TO_3D, description="Pipeline whose settings are tuned."
    )
    preset: Preset = Field(default=Preset.STANDARD, description="draft, standard or high.")
    budget_s: float = Field(
        default=300.0, ge=5, le=1500, description="Seconds that may be spent on it."
    )
    vram_limit_mb: float | None = Field(
        default=None, gt=0, le=1e7, description="Refuse settings that take more GPU memory."
    )
    latency_limit_s: float | None = Field(
        default=None, gt=0, le=1e5, description="Refuse settings with which a run takes longer."
    )
    dry_run: bool = Field(
        default=False, description="Only report; leave the settings in force as they are."
    )


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
            PipelineName.PREPARE_MESH,
            "Check, repair and convert a mesh",
            (PartStageName.MESH_LOADING, *MeshStageName, StageName.MESH_EXPORT),
            PrepareMeshParams,
            Queue.GPU,
            listed=True,
            upload=Upload.MESH,
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
    """Key of jobs that take about the same time: pipeline, preset, engine, texture."""
    if isinstance(params, TuneParams):
        return f"{pipeline}:{params.preset}:{params.budget_s:g}"
    if not isinstance(params, ImageTo3DParams):
        return pipeline
    textured = "textured" if params.texture else "plain"
    engine: str = params.engine
    if params.model is not ShapeModel.AUTO:
        engine = f"{engine}/{params.model}"
    return f"{pipeline}:{params.preset}:{engine}:{textured}"


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
