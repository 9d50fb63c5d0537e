"""Pipeline ``part_at_point``: a mesh in patches and a point in, the parts it may be in out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backend.catalog import PartAtPointParams, PartStageName, PipelineName
from backend.engines.engine import Role
from backend.engines.gpu_presence import has_gpu
from backend.engines.p3sam_effort import effort_for
from backend.engines.part_tasks import SegmentationWishes
from backend.errors import InvalidParameter
from backend.meshes.parts.picked_patches import covered_patches
from backend.meshes.reading.read_mesh import read_mesh
from backend.meshes.source_mesh import SourceMesh
from backend.pipelines.pipeline import (
    OutputFile,
    PipelineOutcome,
    PipelineRequest,
    rounded_seconds,
    stage,
)
from backend.pipelines.segment_parts import KEPT, MESH
from backend.profiling.recorder import join_pipeline, profile_stage
from backend.progress import ProgressSink
from backend.settings import Settings

if TYPE_CHECKING:
    from backend.engines.point_prompt import PointAnswer

TREE = "part_tree"
PICK_FILE, PICK_ROLE = "pick.json", "pick"
ENGINE = "p3sam"
NO_PATCHES = "Nothing tells the patches of this mesh."
OTHER_MESH = "The patches are those of another mesh."


class PartAtPointPipeline:
    """A point of a mesh to its part."""

    name = PipelineName.PART_AT_POINT

    def run(self, request: PipelineRequest, sink: ProgressSink) -> PipelineOutcome:
        """Ask P3-SAM.

        Raises
        ------
        InvalidParameter, EngineUnavailable, WeightsMissing, LicenceNotAccepted, JobCanceled
        """
        params = PartAtPointParams.model_validate(request.params.model_dump())
        with (
            join_pipeline(self.name) as times,
            stage(PartStageName.PART_SEGMENTATION, sink) as progress,
        ):
            face_patches = _face_patches(request)
            progress.engine_chosen(Role.SEGMENTATION, ENGINE)
            answer = _answer(params, request.inputs[MESH])
            document = pick_document(answer, face_patches)
            path = request.out_dir / PICK_FILE
            path.write_text(json.dumps(document))
        output = OutputFile(PICK_FILE, "json", PICK_ROLE, path)
        return PipelineOutcome([output], {"timings_s": rounded_seconds(times)})


def pick_document(answer: PointAnswer, face_patches: NDArray[np.integer]) -> dict[str, Any]:
    """JSON-ready: the patch under the point, and three sets of patches, the best one first.

    Parameters
    ----------
    face_patches : (m,) int
        The patch of each face of the mesh.

    Raises
    ------
    InvalidParameter
        There are faces that have none.
    """
    faces = answer.samples.faces
    if int(faces.max()) >= len(face_patches):
        raise InvalidParameter(OTHER_MESH)
    patches = face_patches[faces]
    under = int(patches[answer.nearest])
    masks = []
    for inside, iou in zip(answer.inside, answer.iou, strict=True):
        covered = covered_patches(inside, patches, int(face_patches.max()) + 1)
        masks.append(
            {
                "iou": round(float(iou), 4),
                "share": round(float(inside.mean()), 6),
                "patches": covered or [under],
                "is_within_a_patch": not covered,
            }
        )
    return {"patch": under, "was_known": answer.was_known, "masks": masks}


def _answer(params: PartAtPointParams, mesh: Path) -> PointAnswer:
    from backend.engines.point_prompt import PointPrompt, answer_at

    wishes = SegmentationWishes(points=params.points)
    points = effort_for(wishes, on_gpu=has_gpu(Settings.from_env())).points
    place = np.array([params.x, params.y, params.z], dtype=np.float64)
    prompt = PointPrompt(place, points, params.seed or 0, params.geometry)
    return answer_at(prompt, lambda: _read(mesh))


def _read(mesh: Path) -> SourceMesh:
    with profile_stage("read_mesh"):
        return read_mesh(mesh, KEPT)


def _face_patches(request: PipelineRequest) -> NDArray[np.int32]:
    path = request.inputs.get(TREE)
    if path is None:
        raise InvalidParameter(
            NO_PATCHES, advice="Ask with POST /api/v1/jobs/<id>/picks about a job that has parts."
        )
    with np.load(path, allow_pickle=False) as tree:
        return np.asarray(tree["face_patches"], dtype=np.int32)
