"""Runs pipelines with the tiny engine.

A worker does so with MESHKILN_PIPELINE_RUNNER=bench.tiny_native.runner:run_pipeline.
"""

from __future__ import annotations

from functools import cache

from backend.batching.engine_traits import BatchedStage
from backend.catalog import (
    CutOutParams,
    ImageTo3DParams,
    PipelineName,
    StageName,
    TunedPipeline,
    pipeline_spec,
)
from backend.engines.alpha_background import AlphaBackground
from backend.engines.engine import Listing, Role
from backend.engines.grabcut_background import GrabcutBackground
from backend.engines.inflate import Inflate
from backend.engines.projection_texture import ProjectionTexture
from backend.engines.registry import EngineRegistry
from backend.pipelines.cut_out import CutOutPipeline
from backend.pipelines.image_to_3d import ImageTo3DPipeline
from backend.pipelines.pipeline import Pipeline, PipelineOutcome, PipelineRequest
from backend.pipelines.tune import TunePipeline
from backend.progress import ProgressSink
from bench.tiny_native.engine import TinyNative


@cache
def tiny_registry() -> EngineRegistry:
    """Engines by role; ``tiny`` is the one that ``auto`` takes."""
    return EngineRegistry(
        [
            Listing(Role.BACKGROUND, GrabcutBackground(), rank=10),
            Listing(Role.BACKGROUND, AlphaBackground(), rank=0),
            Listing(Role.SHAPE, TinyNative(), rank=20),
            Listing(Role.SHAPE, Inflate(), rank=10),
            Listing(Role.TEXTURE, ProjectionTexture(), rank=10),
        ]
    )


def run_pipeline(name: str, request: PipelineRequest, sink: ProgressSink) -> PipelineOutcome:
    """Run the pipeline ``name``; raises MeshkilnError."""
    registry = tiny_registry()
    image_to_3d = ImageTo3DPipeline(registry)
    pipelines: dict[PipelineName, Pipeline] = {
        PipelineName.IMAGE_TO_3D: image_to_3d,
        PipelineName.CUT_OUT: CutOutPipeline(registry),
        PipelineName.TUNE: TunePipeline({TunedPipeline.IMAGE_TO_3D: image_to_3d}),
    }
    return pipelines[pipeline_spec(name).name].run(request, sink)


def batched_stages(name: str, params: CutOutParams) -> list[BatchedStage]:
    """Tell which engines do the stages that may run for several jobs at once."""
    if name != PipelineName.IMAGE_TO_3D or not isinstance(params, ImageTo3DParams):
        return []
    registry = tiny_registry()
    shape = registry.choose(Role.SHAPE, params.engine)
    stages = [BatchedStage(StageName.SHAPE_GENERATION, shape)]
    if params.texture:
        stages.append(BatchedStage(StageName.TEXTURE_SYNTHESIS, registry.choose(Role.TEXTURE)))
    return stages
