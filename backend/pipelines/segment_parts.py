"""Pipeline ``segment_parts``: a mesh in, the same surface divided into numbered parts out."""

from __future__ import annotations

from backend.catalog import PartStageName, PipelineName, SegmentPartsParams, StageName
from backend.engines.registry import EngineRegistry
from backend.meshes.reading.mesh_limits import MeshLimits
from backend.meshes.reading.read_mesh import read_mesh
from backend.pipelines.mesh_preview import show_given_mesh
from backend.pipelines.part_division import division_facts, find_parts
from backend.pipelines.part_files import PartFiles
from backend.pipelines.pipeline import PipelineOutcome, PipelineRequest, rounded_seconds, stage
from backend.profiling.recorder import join_pipeline
from backend.progress import ProgressSink

MESH = "mesh"
# The child process that wrote the file has judged it by the limits of the server, which may be
# wider than those of reading.
KEPT = MeshLimits(faces=50_000_000)


class SegmentPartsPipeline:
    """Mesh to parts."""

    name = PipelineName.SEGMENT_PARTS

    def __init__(self, registry: EngineRegistry) -> None:
        self._registry = registry

    def run(self, request: PipelineRequest, sink: ProgressSink) -> PipelineOutcome:
        """Find the parts; raises BadInput, EngineUnavailable, JobCanceled."""
        params = SegmentPartsParams.model_validate(request.params.model_dump())
        with join_pipeline(self.name) as times:
            with stage(PartStageName.MESH_LOADING, sink):
                mesh = read_mesh(request.inputs[MESH], KEPT)
                shown = show_given_mesh(request.inputs[MESH], request.out_dir, sink)

            with stage(PartStageName.PART_SEGMENTATION, sink) as progress:
                seed = params.seed or 0
                division = find_parts(
                    mesh, params, params.preset, params.engine, seed, self._registry, progress
                )

            with stage(StageName.MESH_EXPORT, sink) as progress:
                outputs = PartFiles(division).write(request.out_dir, progress)

        return PipelineOutcome(
            shown + outputs,
            {
                "source_mesh": {"faces": len(mesh.faces), "vertices": len(mesh.vertices)},
                "parts": division_facts(division),
                "timings_s": rounded_seconds(times),
            },
        )
