"""Pipeline ``prepare_mesh``: a mesh is counted, mended, reduced and written in another format."""

from __future__ import annotations

import json
from pathlib import Path

from backend.catalog import (
    MeshFileFormat,
    MeshStageName,
    PartStageName,
    PipelineName,
    PrepareMeshParams,
    StageName,
    UpAxis,
)
from backend.errors import UnusableMesh
from backend.meshes.decimation.fewer_faces import DecimationMethod, with_fewer_faces
from backend.meshes.mending.mesh_figures import measure_mesh
from backend.meshes.mending.mesh_scale import METRES, longest_side, scaled, turned_to, upright
from backend.meshes.mending.repair import RepairOptions, StepTaken, repair
from backend.meshes.mesh_files import not_kept, write_mesh
from backend.meshes.mesh_picture import pictured
from backend.meshes.reading.mesh_limits import MeshLimits
from backend.meshes.reading.not_read import noted_in
from backend.meshes.reading.read_mesh import read_mesh
from backend.meshes.source_mesh import SourceMesh
from backend.pipelines.mesh_preview import show_given_mesh
from backend.pipelines.mesh_report import MeshReport, written_as
from backend.pipelines.model_files import write_thumbnail
from backend.pipelines.pipeline import (
    OutputFile,
    PipelineOutcome,
    PipelineRequest,
    rounded_seconds,
    stage,
)
from backend.profiling.recorder import join_pipeline, profile_stage
from backend.profiling.spans import SpanKind
from backend.progress import ProgressSink, StageProgress
from backend.runtime_settings import SettingName, number_of

MESH = "mesh"
# The child process that wrote the file has judged it by the limits of the server.
KEPT = MeshLimits(faces=50_000_000)
LEAST_SIZE_M, MOST_SIZE_M = 1e-9, 1e9
FILES = {
    MeshFileFormat.GLB: ("model.glb", "model"),
    MeshFileFormat.OBJ: ("model_obj.zip", "model_obj"),
    MeshFileFormat.PLY: ("model.ply", "model_ply"),
    MeshFileFormat.STL: ("model.stl", "model_stl"),
}


class PrepareMeshPipeline:
    """Mesh to mended mesh; no engine."""

    name = PipelineName.PREPARE_MESH

    def run(self, request: PipelineRequest, sink: ProgressSink) -> PipelineOutcome:
        """Prepare the mesh; raises BadInput, JobCanceled."""
        params = PrepareMeshParams.model_validate(request.params.model_dump())
        with join_pipeline(self.name) as times:
            with stage(PartStageName.MESH_LOADING, sink):
                mesh, unit_m = given_mesh(request.inputs[MESH], params)
                before = measure_mesh(scaled(mesh, unit_m))
                shown = show_given_mesh(request.inputs[MESH], request.out_dir, sink)

            with stage(MeshStageName.MESH_REPAIR, sink) as progress:
                mesh, steps = _repaired(mesh, params, progress)

            with stage(MeshStageName.MESH_DECIMATION, sink) as progress:
                mesh, method = _reduced(mesh, params, progress)

            with stage(StageName.MESH_EXPORT, sink) as progress:
                report = MeshReport(
                    params, before, measure_mesh(scaled(mesh, unit_m)), steps, method,
                    FILES[params.format][0], not_kept(mesh, params.format),
                    noted_in(request.inputs[MESH]),
                )  # fmt: skip
                for warning in report.warnings():
                    progress.warn(warning)
                outputs = _write(mesh, unit_m, report, request.out_dir, progress)

        facts = {
            "source_mesh": {"faces": before.faces, "vertices": before.vertices},
            "mesh_report": report.document(),
            "timings_s": rounded_seconds(times),
        }
        return PipelineOutcome(shown + outputs, facts)


def given_mesh(path: Path, params: PrepareMeshParams) -> tuple[SourceMesh, float]:
    """Read the mesh with Y up; raises BadInput.

    Returns
    -------
    mesh : SourceMesh
        In the numbers of its file, so that they can be written again without being rounded; in
        metres where another size is asked for, or where single precision could not work with them.
    unit_m : float
        Metres that one of its units stands for.
    """
    mesh = upright(read_mesh(path, KEPT), params.from_up)
    side, unit_m = longest_side(mesh), METRES[params.from_units]
    if params.size_m is not None:
        return scaled(mesh, params.size_m / side), 1.0
    if not LEAST_SIZE_M <= side * unit_m <= MOST_SIZE_M:
        raise UnusableMesh(
            f"Its longest side would be {side * unit_m:.3g} m, which single precision cannot "
            "work with.",
            advice="Name another unit of the file, or the size it is to have.",
        )
    if not LEAST_SIZE_M <= side <= MOST_SIZE_M:
        return scaled(mesh, unit_m), 1.0
    return mesh, unit_m


def _repaired(
    mesh: SourceMesh, params: PrepareMeshParams, progress: StageProgress
) -> tuple[SourceMesh, tuple[StepTaken, ...]]:
    if not params.repair:
        return mesh, ()
    options = RepairOptions(params.hole_share, params.debris_share)
    found = repair(mesh, options, progress.check_canceled)
    return found.mesh, found.steps


def _reduced(
    mesh: SourceMesh, params: PrepareMeshParams, progress: StageProgress
) -> tuple[SourceMesh, DecimationMethod | None]:
    if params.target_faces is None:
        return mesh, None
    target, given = params.target_faces, len(mesh.faces)
    found = with_fewer_faces(
        mesh, target, lambda faces: progress.step(given - faces, max(given - target, 1))
    )
    return found.mesh, found.method


def _in_file(mesh: SourceMesh, factor: float, up: UpAxis) -> SourceMesh:
    return turned_to(scaled(mesh, factor), up)


def _write(
    mesh: SourceMesh, unit_m: float, report: MeshReport, out_dir: Path, progress: StageProgress
) -> list[OutputFile]:
    """Write the GLB that pages show, the file that was asked for, the report and a picture."""
    kinds = dict.fromkeys((MeshFileFormat.GLB, report.params.format))
    unit, up = written_as(report.params)
    files, steps = [], len(kinds) + 1
    for done, kind in enumerate(kinds, 1):
        name, role = FILES[kind]
        is_glb = kind is MeshFileFormat.GLB
        own = scaled(mesh, unit_m) if is_glb else _in_file(mesh, unit_m / METRES[unit], up)
        with profile_stage(f"write_{kind}", SpanKind.IO):
            write_mesh(own, kind, out_dir / name)
        files.append(OutputFile(name, kind.value, role, out_dir / name))
        progress.step(done, steps)
    told = out_dir / "mesh_report.json"
    told.write_text(json.dumps(report.document(), indent=1) + "\n")
    files.append(OutputFile(told.name, "json", "mesh_report", told))
    picture = out_dir / "thumbnail.png"
    with profile_stage("write_thumbnail", SpanKind.IO):
        write_thumbnail(pictured(mesh), picture, number_of(SettingName.EXPORT_COMPRESSION))
    files.append(OutputFile(picture.name, "png", "thumbnail", picture))
    progress.step(steps, steps)
    return files
