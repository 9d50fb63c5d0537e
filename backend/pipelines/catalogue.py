"""The one entry to all pipelines, for workers and the command line."""

from __future__ import annotations

from backend.catalog import PipelineName, TunedPipeline, pipeline_spec
from backend.engines.builtin import default_registry
from backend.pipelines.cut_out import CutOutPipeline
from backend.pipelines.image_to_3d import ImageTo3DPipeline
from backend.pipelines.pipeline import Pipeline, PipelineOutcome, PipelineRequest
from backend.pipelines.tune import TunePipeline
from backend.progress import ProgressSink


def run_pipeline(name: str, request: PipelineRequest, sink: ProgressSink) -> PipelineOutcome:
    """Run the pipeline ``name``; raises MeshkilnError."""
    registry = default_registry()
    image_to_3d = ImageTo3DPipeline(registry)
    pipelines: dict[PipelineName, Pipeline] = {
        PipelineName.IMAGE_TO_3D: image_to_3d,
        PipelineName.CUT_OUT: CutOutPipeline(registry),
        PipelineName.TUNE: TunePipeline({TunedPipeline.IMAGE_TO_3D: image_to_3d}),
    }
    return pipelines[pipeline_spec(name).name].run(request, sink)
