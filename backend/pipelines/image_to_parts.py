"""Pipeline ``image_to_parts``: a picture in, a textured model and its closed parts out."""

from __future__ import annotations

import numpy as np

from backend.catalog import (
    ImageToPartsParams,
    PartStageName,
    PipelineName,
    StageName,
)
from backend.engines.registry import EngineRegistry
from backend.meshes.export import look_of
from backend.meshes.source_mesh import SourceMesh
from backend.meshes.textured_mesh import TexturedMesh
from backend.meshes.triangle_mesh import TriangleMesh
from backend.pipelines.complete_parts import complete
from backend.pipelines.given_parts import GivenParts
from backend.pipelines.growing_parts import GrowingParts
from backend.pipelines.image_to_3d import ImageTo3DPipeline
from backend.pipelines.model_files import write_model_files
from backend.pipelines.part_division import division_facts, find_parts
from backend.pipelines.part_files import PartFiles
from backend.pipelines.pipeline import (
    PipelineOutcome,
    PipelineRequest,
    rounded_seconds,
    stage,
)
from backend.profiling.recorder import join_pipeline
from backend.progress import ProgressSink, StageProgress

PARTS_PICTURE = "parts_thumbnail.png"
HALF_STEPS = 10


class ImageToPartsPipeline:
    """Picture to textured model to closed parts."""

    name = PipelineName.IMAGE_TO_PARTS

    def __init__(self, registry: EngineRegistry) -> None:
        self._registry = registry
        self._image_to_3d = ImageTo3DPipeline(registry)

    def run(self, request: PipelineRequest, sink: ProgressSink) -> PipelineOutcome:
        """Make the model and its parts; raises as ``image_to_3d`` and ``complete_parts`` do."""
        params = ImageToPartsParams.model_validate(request.params.model_dump())
        seed = params.seed or 0
        with join_pipeline(self.name) as times:
            made = self._image_to_3d.make(request, sink)

            with stage(PartStageName.PART_SEGMENTATION, sink) as progress:
                surface = source_of(made.body.mesh, made.textured)
                division = find_parts(
                    surface,
                    params,
                    params.preset,
                    params.part_engine,
                    seed,
                    self._registry,
                    progress,
                )

            with stage(PartStageName.PART_COMPLETION, sink) as progress:
                parts = GivenParts.of(division)
                growing = GrowingParts(surface, parts.face_parts, request.out_dir, sink)
                completion = complete(
                    parts, params, params.preset, seed, self._registry, progress, growing
                )

            with stage(StageName.MESH_EXPORT, sink) as progress:
                out_dir = request.out_dir
                first, second = (HalfOf(sink, progress.stage, half) for half in (0, 1))
                files = write_model_files(made.body.mesh, made.textured, out_dir, first, made.notes)
                files += PartFiles(division, completion.parts).write(out_dir, second, PARTS_PICTURE)

        facts = made.facts | {
            "parts": division_facts(division),
            "completion": completion.to_facts(),
            "timings_s": rounded_seconds(times),
        }
        return PipelineOutcome(made.outputs + files, facts)


class HalfOf(StageProgress):
    """One of two halves of a stage, each of which counts its own steps; both are shown as one.

    Parameters
    ----------
    half : int
        0 for the first, 1 for the second.
    """

    def __init__(self, sink: ProgressSink, stage: str, half: int) -> None:
        super().__init__(sink, stage)
        self._half = half

    def step(self, step: int, steps: int) -> None:
        """Report a step of this half; raises JobCanceled if asked to stop."""
        done = HALF_STEPS * step // max(steps, 1)
        super().step(done + self._half * HALF_STEPS, 2 * HALF_STEPS)


def source_of(mesh: TriangleMesh, textured: TexturedMesh | None) -> SourceMesh:
    """Take a model as a mesh that somebody gave, with its texture if there is one."""
    if textured is None:
        return SourceMesh.plain(mesh)
    from_top = np.stack([textured.uv[:, 0], 1 - textured.uv[:, 1]], axis=1)
    kinds = np.zeros(len(textured.faces), dtype=np.int16)
    return SourceMesh(
        textured.vertices,
        textured.faces,
        from_top.astype(np.float32),
        None,
        (look_of(textured),),
        kinds,
    )
