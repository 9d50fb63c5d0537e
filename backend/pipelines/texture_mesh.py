"""Pipeline ``texture_mesh``: a mesh and pictures of the object in, the same mesh coloured out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from backend.batch_processor import BatchedStage, needs_device_alone, run_engine
from backend.catalog import (
    PartStageName,
    PipelineName,
    PipelineParams,
    StageName,
    TextureMeshParams,
)
from backend.engines.engine import AnyEngine, Role
from backend.engines.registry import EngineRegistry
from backend.engines.texture_task import TextureResult, TextureTask
from backend.errors import MissingFile
from backend.meshes.glb_notes import SHAPE_MODE, shape_mode_in
from backend.meshes.paintable_mesh import PaintableMesh
from backend.meshes.picture import Picture
from backend.meshes.reading.mesh_limits import MeshLimits
from backend.meshes.reading.read_mesh import read_mesh
from backend.meshes.source_mesh import SourceMesh
from backend.meshes.texturing.surface_layout import SurfaceLayout
from backend.pipelines.cut_out import FRONT, find_object, mask_facts, write_mask_files
from backend.pipelines.engine_of_model import texture_engine
from backend.pipelines.image_to_3d import EFFORTS, texture_facts, texture_wishes
from backend.pipelines.mesh_preview import show_given_mesh
from backend.pipelines.model_files import write_textured_files
from backend.pipelines.picture_placement import Placed, SidePicture, other_sides, placed_on
from backend.pipelines.pipeline import (
    OutputFile,
    PipelineOutcome,
    PipelineRequest,
    rounded_seconds,
    stage,
)
from backend.pipelines.unheeded_wishes import warn_of_unheeded
from backend.profiling.recorder import join_pipeline
from backend.progress import ProgressSink, StageProgress

MESH, IMAGE = "mesh", "image"
# The child process that wrote the file has judged it by the limits of the server.
KEPT = MeshLimits(faces=50_000_000)


@dataclass(frozen=True)
class _Layout:
    """Texture coordinates to keep, or why the engine makes its own.

    Parameters
    ----------
    kept : SurfaceLayout or None
        Of the mesh that is painted.
    reason : str or None
        Why those of the mesh are not kept; a name for programs.
    words : str
        The same for people.
    """

    kept: SurfaceLayout | None = None
    reason: str | None = None
    words: str = ""

    def facts(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"kept": self.kept is not None, "reason": self.reason, "words": self.words}


class TextureMeshPipeline:
    """Mesh and pictures to textured mesh."""

    name = PipelineName.TEXTURE_MESH

    def __init__(self, registry: EngineRegistry) -> None:
        self._registry = registry

    def run(self, request: PipelineRequest, sink: ProgressSink) -> PipelineOutcome:
        """Colour the mesh.

        Raises
        ------
        BadInput, EngineUnavailable, JobCanceled
        """
        params = _params(request.params)
        if IMAGE not in request.inputs:
            raise MissingFile("There is no picture to take colours from.")
        path = request.inputs[MESH]
        with join_pipeline(self.name) as times:
            with stage(PartStageName.MESH_LOADING, sink) as progress:
                mesh = read_mesh(path, KEPT)
                body = PaintableMesh.of(mesh, params.front.azimuth_deg)
                layout = _layout(body, keep=params.keep_uvs)
                outputs = show_given_mesh(path, request.out_dir, sink)
                _warn_of_losses(mesh, layout, progress)

            with stage(StageName.IMAGE_PREPROCESSING, sink) as progress:
                sides, mask_files = self._pictures(request, params, sink, progress)
                placed = [placed_on(body.mesh, one, params.front, progress) for one in sides]
                outputs += mask_files

            with stage(StageName.TEXTURE_SYNTHESIS, sink) as progress:
                mode = shape_mode_in(path)
                task = _task(body, layout, placed, params, is_inflated=mode is not None)
                result = self._painted(task, params, progress)
                textured = body.restored(result.mesh)

            with stage(StageName.MESH_EXPORT, sink) as progress:
                notes = {} if mode is None else {SHAPE_MODE: mode}
                outputs += write_textured_files(textured, request.out_dir, progress, notes)

        facts = {
            "source_mesh": {"faces": len(mesh.faces), "vertices": len(mesh.vertices)},
            "mask": mask_facts(sides[0].found),
            "outlines": {
                one.side: round(fit.overlap, 4) for one, fit in zip(sides, placed, strict=True)
            },
            "front": params.front.value,
            "layout": layout.facts(),
            "texture": texture_facts(result),
            "timings_s": rounded_seconds(times),
        }
        return PipelineOutcome(outputs, facts)

    def batched_stages(self, raw: PipelineParams) -> list[BatchedStage]:
        """Name the stages whose engines take batches or the device; raises EngineUnavailable."""
        engine = self._engine(_params(raw))
        stages = [BatchedStage(StageName.TEXTURE_SYNTHESIS, engine)]
        return [one for one in stages if needs_device_alone(one.engine)]

    def _engine(self, params: TextureMeshParams) -> AnyEngine:
        name = texture_engine(params.engine, params.texture_model)
        return self._registry.choose(Role.TEXTURE, name)

    def _pictures(
        self,
        request: PipelineRequest,
        params: TextureMeshParams,
        sink: ProgressSink,
        progress: StageProgress,
    ) -> tuple[list[SidePicture], list[OutputFile]]:
        """Find the object in every picture, the front first, and show what was found there."""
        working_px = EFFORTS[params.preset].working_px
        picture = Picture.read(request.inputs[IMAGE])
        found = find_object(
            picture.scaled_to(working_px), request.inputs, params, self._registry, progress
        )
        files = write_mask_files(picture, found, request.out_dir, sink)
        others = other_sides(request.inputs, params, working_px, self._registry, progress)
        return [SidePicture(FRONT, picture, found), *others], files

    def _painted(
        self, task: TextureTask, params: TextureMeshParams, progress: StageProgress
    ) -> TextureResult:
        engine = self._engine(params)
        progress.engine_chosen(Role.TEXTURE, engine.name)
        warn_of_unheeded(engine, task.wishes, progress)
        result: TextureResult
        result = run_engine(engine, task, progress)
        if result.notice:
            progress.warn(result.notice)
        return result


def _params(params: PipelineParams) -> TextureMeshParams:
    return TextureMeshParams.model_validate(params.model_dump())


def _layout(body: PaintableMesh, *, keep: bool) -> _Layout:
    """Take the texture coordinates of the mesh where they can carry one texture."""
    if not keep:
        return _Layout(reason="not_asked", words="New ones were asked for.")
    if body.given.uvs is None:
        return _Layout(reason="none", words="The mesh has none.")
    from backend.meshes.texturing.usable_layout import UnusableUvs, usable_layout

    found = usable_layout(body.given)
    if isinstance(found, UnusableUvs):
        return _Layout(reason=found.reason.value, words=found.sentence)
    return _Layout(kept=body.layout(found))


def _task(
    body: PaintableMesh,
    layout: _Layout,
    placed: list[Placed],
    params: TextureMeshParams,
    *,
    is_inflated: bool,
) -> TextureTask:
    return TextureTask(
        body.mesh,
        tuple(one.reference for one in placed),
        params.texture_size_px or EFFORTS[params.preset].texture_px,
        params.back_side,
        is_inflated=is_inflated,
        layout=layout.kept,
        seed=params.seed or 0,
        wishes=texture_wishes(params.preset, params),
    )


def _warn_of_losses(mesh: SourceMesh, layout: _Layout, progress: StageProgress) -> None:
    """Say what of the given mesh the new texture replaces."""
    looks = [mesh.materials[kind] for kind in set(mesh.face_materials.tolist())]
    had = {
        f"{len(looks)} materials": len(looks) > 1,
        "colours of vertices": mesh.colors is not None,
    }
    replaced = [what for what, there in had.items() if there]
    if replaced:
        progress.warn(f"One texture takes the place of {' and '.join(replaced)}.")
    if layout.kept is None and mesh.uvs is not None and layout.reason != "not_asked":
        progress.warn(f"Texture coordinates were made anew. {layout.words}")
