"""Pipeline ``complete_parts``: a mesh in, each of its parts as a closed mesh out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backend.batch_processor import run_engine
from backend.catalog import (
    CompletePartsParams,
    CompletionParams,
    PartStageName,
    PipelineName,
    Preset,
    StageName,
)
from backend.engines.engine import Role
from backend.engines.part_tasks import CompletedParts, CompletionTask, CompletionWishes
from backend.engines.registry import EngineRegistry
from backend.meshes.closed_part import ClosedPart, ClosingMethod
from backend.meshes.reading.read_mesh import read_mesh
from backend.meshes.source_mesh import SourceMesh
from backend.pipelines.given_parts import BOXES, FACE_IDS, GivenParts, given_parts
from backend.pipelines.growing_parts import GrowingParts
from backend.pipelines.mesh_preview import show_given_mesh
from backend.pipelines.part_division import division_facts, find_parts
from backend.pipelines.part_files import PartFiles, completion_facts
from backend.pipelines.pipeline import PipelineOutcome, PipelineRequest, rounded_seconds, stage
from backend.pipelines.segment_parts import KEPT, MESH
from backend.profiling.recorder import join_pipeline
from backend.progress import ProgressSink, StageProgress


class CompletePartsPipeline:
    """Mesh, with part numbers or boxes or without, to closed parts."""

    name = PipelineName.COMPLETE_PARTS

    def __init__(self, registry: EngineRegistry) -> None:
        self._registry = registry

    def run(self, request: PipelineRequest, sink: ProgressSink) -> PipelineOutcome:
        """Find the parts unless they are given, and close each of them.

        Raises
        ------
        BadInput, EngineUnavailable, JobCanceled
        """
        params = CompletePartsParams.model_validate(request.params.model_dump())
        seed, out_dir = params.seed or 0, request.out_dir
        with join_pipeline(self.name) as times:
            with stage(PartStageName.MESH_LOADING, sink):
                mesh = read_mesh(request.inputs[MESH], KEPT)
                shown = show_given_mesh(request.inputs[MESH], out_dir, sink)

            with stage(PartStageName.PART_SEGMENTATION, sink) as progress:
                parts = self._parts(mesh, request, params, progress)
                division = parts.division

            with stage(PartStageName.PART_COMPLETION, sink) as progress:
                growing = GrowingParts(mesh, parts.face_parts, out_dir, sink)
                completion = complete(
                    parts, params, params.preset, seed, self._registry, progress, growing
                )

            with stage(StageName.MESH_EXPORT, sink) as progress:
                outputs = PartFiles(division, completion.parts).write(out_dir, progress)

        return PipelineOutcome(
            shown + outputs,
            {
                "source_mesh": {"faces": len(mesh.faces), "vertices": len(mesh.vertices)},
                "parts": division_facts(division),
                "completion": completion.to_facts(),
                "timings_s": rounded_seconds(times),
            },
        )

    def _parts(
        self,
        mesh: SourceMesh,
        request: PipelineRequest,
        params: CompletePartsParams,
        progress: StageProgress,
    ) -> GivenParts:
        if FACE_IDS in request.inputs or BOXES in request.inputs:
            return given_parts(mesh, request.inputs, progress)
        seed = params.seed or 0
        division = find_parts(
            mesh, params, params.preset, params.engine, seed, self._registry, progress
        )
        return GivenParts.of(division)


@dataclass(frozen=True)
class Completion:
    """The parts of a surface as closed meshes, and what made them."""

    engine: str
    completed: CompletedParts

    @property
    def parts(self) -> list[ClosedPart]:
        """Those that have faces, by number."""
        return self.completed.parts

    def to_facts(self) -> dict[str, Any]:
        """JSON-ready report."""
        return completion_facts(self.engine, self.parts) | self.completed.facts


def complete(
    given: GivenParts,
    params: CompletionParams,
    preset: Preset,
    seed: int,
    registry: EngineRegistry,
    progress: StageProgress,
    on_part: Callable[[ClosedPart], None] = lambda part: None,
) -> Completion:
    """Close the parts.

    Parameters
    ----------
    on_part : callable
        Told of each part as soon as it is closed.

    Raises
    ------
    EngineUnavailable, JobCanceled
    """
    engine = registry.choose(Role.COMPLETION, str(params.completion))
    progress.engine_chosen(Role.COMPLETION, engine.name)
    wishes = CompletionWishes(
        preset, params.part_steps, params.part_solver, params.part_cells, params.part_quality
    )
    task = CompletionTask(given.division.mesh, given.face_parts, given.boxes, seed, wishes, on_part)
    completed: CompletedParts = run_engine(engine, task, progress)
    if completed.notice:
        progress.warn(completed.notice)
    _warn_of_methods(completed.parts, progress)
    return Completion(engine.name, completed)


def _warn_of_methods(parts: list[ClosedPart], progress: StageProgress) -> None:
    methods = [part.method for part in parts]
    if ClosingMethod.CAP in methods:
        progress.warn("Cuts are closed flat; hidden surfaces are not reconstructed.")
    open_parts = sum(part.volume is None for part in parts)
    if open_parts:
        progress.warn(f"{open_parts} of {len(parts)} parts could not be closed and stay open.")
