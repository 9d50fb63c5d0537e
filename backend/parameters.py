"""The parameters of each pipeline, with their bounds; ``backend.catalog`` shows them all.

A leaf module: requests are validated and the OpenAPI document is written from it.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from backend.choices import (
    BackgroundEngine,
    BackSide,
    CompletionEngine,
    FieldDecoder,
    LengthUnit,
    MeshFileFormat,
    MeshFront,
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

MAX_SEED = 2**63 - 1
MAX_PARTS = 1000
MAX_PLACE = 1e30
MAX_SPOKEN = 2000


class PipelineParams(BaseModel):
    """Parameters of any pipeline."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CutOutParams(PipelineParams):
    """Parameters of `cut_out`: find the object, show the mask."""

    background: BackgroundEngine = Field(
        default=BackgroundEngine.AUTO, description="How the object is told from the background."
    )


class TextureParams(PipelineParams):
    """How a mesh is coloured. What is null follows from the preset and the model."""

    texture_model: TextureModel = Field(
        default=TextureModel.AUTO, description="Weights of hunyuan3d_paint; auto goes by preset."
    )
    texture_steps: int | None = Field(
        default=None, ge=1, le=100, description="Steps of hunyuan3d_paint from noise to pictures."
    )
    texture_guidance: float | None = Field(
        default=None, ge=0, le=30, description="How strictly hunyuan3d_paint follows the picture."
    )
    texture_views: int | None = Field(
        default=None,
        ge=6,
        le=9,
        description="Sides that hunyuan3d_paint paints; 2.1 takes up to 9.",
    )
    view_px: int | None = Field(
        default=None,
        ge=256,
        le=1024,
        multiple_of=64,
        description="Side of the pictures that hunyuan3d_paint paints.",
    )
    delight: bool | None = Field(
        default=None, description="Take light and shadow out of the picture first; 2.0 only."
    )
    upscale: bool | None = Field(
        default=None, description="Enlarge painted pictures by a network before they are baked."
    )
    back_side: BackSide = Field(
        default=BackSide.AUTO, description="How projection colours the side that is not seen."
    )
    texture_size_px: int | None = Field(
        default=None, ge=256, le=4096, description="Atlas side in pixels."
    )


class TextureMeshParams(TextureParams, CutOutParams):
    """Parameters of `texture_mesh`: a mesh is coloured by pictures of the object."""

    engine: TextureEngine = Field(
        default=TextureEngine.AUTO, description="Engine that makes the texture."
    )
    preset: Preset = Field(default=Preset.STANDARD, description="draft, standard or high.")
    seed: int | None = Field(
        default=None,
        ge=0,
        le=MAX_SEED,
        description="Same seed, same texture; drawn and reported if absent.",
    )
    front: MeshFront = Field(
        default=MeshFront.PLUS_Z, description="Where the front of the mesh faces; +Y is up."
    )
    keep_uvs: bool = Field(
        default=True, description="Keep the texture coordinates of the mesh where they can be used."
    )


class ImageTo3DParams(TextureParams, CutOutParams):
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
    texture: bool = Field(default=True, description="Give the model a texture.")
    texture_engine: TextureEngine = Field(
        default=TextureEngine.AUTO, description="Engine that makes the texture."
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
    points: int | None = Field(
        default=None,
        ge=2_000,
        le=400_000,
        description="Points of the surface that p3sam looks at; null goes by the preset.",
    )
    prompts: int | None = Field(
        default=None,
        ge=16,
        le=2_000,
        description="Points for whose part p3sam asks; null goes by the preset.",
    )
    threshold: float = Field(
        default=0.95,
        ge=0.5,
        le=1.0,
        description="p3sam joins small parts beyond this share of the area to their neighbours.",
    )
    post_process: bool = Field(
        default=True, description="Without it p3sam leaves small parts as they are."
    )


class SegmentPartsParams(DivisionParams):
    """Parameters of `segment_parts`: a mesh becomes numbered parts."""

    engine: SegmentationEngine = Field(
        default=SegmentationEngine.AUTO, description="Engine that finds the parts."
    )
    preset: Preset = Field(
        default=Preset.STANDARD, description="draft, standard or high; for engines with networks."
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        le=MAX_SEED,
        description="Same seed, same parts; drawn and reported if absent.",
    )


class PartAtPointParams(PipelineParams):
    """Parameters of `part_at_point`: which part of a mesh a point is in, as p3sam sees it.

    Seed and points are those of the job whose parts are looked at, so that nothing of it is
    computed twice.
    """

    x: float = Field(ge=-MAX_PLACE, le=MAX_PLACE, description="Of the point, as the mesh has it.")
    y: float = Field(ge=-MAX_PLACE, le=MAX_PLACE, description="Of the point, as the mesh has it.")
    z: float = Field(ge=-MAX_PLACE, le=MAX_PLACE, description="Of the point, as the mesh has it.")
    points: int | None = Field(
        default=None,
        ge=2_000,
        le=400_000,
        description="Points of the surface that p3sam looks at; null goes by the machine.",
    )
    geometry: str | None = Field(
        default=None,
        pattern="^[0-9a-f]{64}$",
        description="facts.parts.geometry of the job that found the parts: a mesh that is known "
        "under this name is not read again.",
    )
    seed: int | None = Field(
        default=None, ge=0, le=MAX_SEED, description="Same seed, same answer; drawn if absent."
    )


class CompletionParams(PipelineParams):
    """How parts become closed meshes. What is null follows from the preset."""

    completion: CompletionEngine = Field(
        default=CompletionEngine.AUTO, description="Engine that completes the parts."
    )
    part_quality: PartQuality | None = Field(
        default=None,
        description="exact: 50 Euler steps as published. fewer_steps (25 Euler steps) and "
        "second_order (13 midpoint steps) take half the time and give other parts.",
    )
    part_steps: int | None = Field(
        default=None,
        ge=1,
        le=200,
        description="Steps of xpart from noise to parts, whatever the quality says.",
    )
    part_solver: PartSolver | None = Field(
        default=None, description="How xpart takes them; midpoint gives other parts than euler."
    )
    part_cells: int | None = Field(
        default=None,
        ge=64,
        le=512,
        description="Cells along the longest side of the object on which xpart reads parts off.",
    )


class CompletePartsParams(CompletionParams, SegmentPartsParams):
    """Parameters of `complete_parts`: each part of a mesh becomes a closed mesh.

    A file of part numbers that is sent along decides instead of those of the division.
    """


class ImageToPartsParams(CompletionParams, DivisionParams, ImageTo3DParams):
    """Parameters of `image_to_parts`: those of `image_to_3d` and of the parts."""

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

    IMAGE_TO_3D = "image_to_3d"


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


class SpeechParams(PipelineParams):
    """Parameters of `speech`: a recording and words in, a recording out."""

    task: SpeechTask = Field(
        default=SpeechTask.CLONE,
        description="clone: its voice says `text`. Others change the recording itself.",
    )
    text: str = Field(
        default="",
        max_length=MAX_SPOKEN,
        description="What is to be said: for clone, and for paralinguistic with its [tags].",
    )
    transcript: str = Field(
        default="",
        max_length=MAX_SPOKEN,
        description="What is said in the recording; written down by a model where that is on.",
    )
    style: str = Field(
        default="",
        max_length=40,
        description="Which emotion, style or speed, where the task has several.",
    )
    passes: int = Field(
        default=1, ge=1, le=5, description="How often an edit is applied to its own result."
    )
    engine: SpeechEngine = Field(
        default=SpeechEngine.AUTO, description="auto takes the best that can run here."
    )
    seed: int | None = Field(
        default=None, ge=0, le=MAX_SEED, description="Same seed, same recording. Drawn if absent."
    )
