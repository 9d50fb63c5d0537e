"""The one entry to all pipelines, for workers and the command line."""

from __future__ import annotations

from backend.batch_processor import BatchedStage
from backend.catalog import PipelineName, PipelineParams, TunedPipeline, pipeline_spec
from backend.engines.builtin import default_registry
from backend.engines.engine import Role
from backend.pipelines.complete_parts import CompletePartsPipeline
from backend.pipelines.cut_out import CutOutPipeline
from backend.pipelines.image_to_3d import ImageTo3DPipeline
from backend.pipelines.image_to_parts import ImageToPartsPipeline
from backend.pipelines.part_at_point import PartAtPointPipeline
from backend.pipelines.pipeline import Pipeline, PipelineOutcome, PipelineRequest
from backend.pipelines.prepare_mesh import PrepareMeshPipeline
from backend.pipelines.segment_parts import SegmentPartsPipeline
from backend.pipelines.speech import SpeechPipeline
from backend.pipelines.texture_mesh import TextureMeshPipeline
from backend.pipelines.tune import TunePipeline
from backend.progress import ProgressSink


def batched_stages(name: str, params: PipelineParams) -> list[BatchedStage]:
    """Name the stages of some work that take batches or the device; raises EngineUnavailable."""
    pipeline = pipeline_spec(name).name
    if pipeline is PipelineName.TEXTURE_MESH:
        return TextureMeshPipeline(default_registry()).batched_stages(params)
    if pipeline is PipelineName.SPEECH:
        return SpeechPipeline(default_registry()).batched_stages(params)
    if pipeline not in (PipelineName.IMAGE_TO_3D, PipelineName.IMAGE_TO_PARTS):
        return []
    return ImageTo3DPipeline(default_registry()).batched_stages(params)


def chosen_engine(role: Role) -> str:
    """Name the engine that ``auto`` stands for here; raises EngineUnavailable."""
    return default_registry().choose(role).name


def run_pipeline(name: str, request: PipelineRequest, sink: ProgressSink) -> PipelineOutcome:
    """Run the pipeline ``name``; raises MeshkilnError."""
    registry = default_registry()
    image_to_3d = ImageTo3DPipeline(registry)
    pipelines: dict[PipelineName, Pipeline] = {
        PipelineName.IMAGE_TO_3D: image_to_3d,
        PipelineName.CUT_OUT: CutOutPipeline(registry),
        PipelineName.TUNE: TunePipeline({TunedPipeline.IMAGE_TO_3D: image_to_3d}),
        PipelineName.SEGMENT_PARTS: SegmentPartsPipeline(registry),
        PipelineName.COMPLETE_PARTS: CompletePartsPipeline(registry),
        PipelineName.IMAGE_TO_PARTS: ImageToPartsPipeline(registry),
        PipelineName.PART_AT_POINT: PartAtPointPipeline(),
        PipelineName.PREPARE_MESH: PrepareMeshPipeline(),
        PipelineName.TEXTURE_MESH: TextureMeshPipeline(registry),
        PipelineName.SPEECH: SpeechPipeline(registry),
    }
    return pipelines[pipeline_spec(name).name].run(request, sink)
