"""Engine ``p3sam``: parts of a mesh from P3-SAM, with its own weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from backend.catalog import CutOutParams
from backend.engines.engine import Needs
from backend.engines.gpu_presence import has_gpu
from backend.engines.model_readiness import unready_reason
from backend.engines.p3sam_effort import MODEL_ID, SegmentationEffort, effort_for
from backend.engines.part_tasks import FoundParts, SegmentationTask
from backend.engines.stage_portions import StagePortions
from backend.meshes.parts.found_tree import has_area, undivided_tree
from backend.progress import StageProgress
from backend.settings import Settings

if TYPE_CHECKING:
    from backend.engines.segmentation_steps import SegmentationSteps

ENCODE_SHARE = 0.1
"""What describing the points counts in the progress of a task, beside asking for all prompts."""
ENCODE, ASK, SELECT, LABEL = "encode", "ask", "select", "label"
NO_AREA = "No face of the mesh has an area, so all of it is one part."


class P3SamParts:
    """The native network: parts on which the masks of many points agree."""

    name = "p3sam"
    title = "P3-SAM (its weights are needed)"
    # On a processor too it runs, slowly; two at once would only disturb each other on either.
    needs = Needs(weights=(MODEL_ID,), device="cuda")

    def available(self) -> str | None:
        """Need torch, the weights, and that their licence was accepted."""
        return unready_reason(MODEL_ID, Settings.from_env())

    def batch_key(self, params: CutOutParams) -> str:
        """Batch by all parameters."""
        return params.model_dump_json(exclude={"seed"})

    def cost_key(self, params: CutOutParams) -> str:
        """Cost by how closely it looks."""
        return params.model_dump_json(include={"preset", "points", "prompts"})

    def run(self, batch: Sequence[SegmentationTask], progress: StageProgress) -> list[FoundParts]:
        """Divide every mesh, one after the other.

        Raises
        ------
        EngineUnavailable, LicenceNotAccepted, WeightsMissing, WeightsDamaged,
        CheckpointConfigInvalid
        """
        from backend.engines.segmentation_steps import SegmentationSteps

        on_gpu = has_gpu(Settings.from_env())
        efforts = [effort_for(task.wishes, on_gpu=on_gpu) for task in batch]
        total = sum(map(_steps_of, efforts))
        found, done = [], 0
        for task, effort in zip(batch, efforts, strict=True):
            steps = SegmentationSteps(effort, _Portions(progress, effort, done, total))
            found.append(_parts(steps, task))
            done += _steps_of(effort)
        progress.step(total, total)
        return found


def _parts(steps: SegmentationSteps, task: SegmentationTask) -> FoundParts:
    """Describe points of the surface, ask for masks, keep those that agree, label the faces."""
    if not has_area(task.mesh):
        return FoundParts(undivided_tree(len(task.mesh.faces)), notice=NO_AREA)
    cloud = steps.looked_at(task.mesh, task.seed)
    masks = steps.masked(cloud, task.seed)
    picked = steps.selected(masks, cloud)
    return steps.found(task.mesh, cloud, masks, picked)


def _portions(effort: SegmentationEffort) -> dict[str, int]:
    """Steps of progress of one task."""
    encode = max(1, int(ENCODE_SHARE * effort.prompts))
    return {ENCODE: encode, ASK: effort.prompts, SELECT: 1, LABEL: 1}


def _steps_of(effort: SegmentationEffort) -> int:
    return sum(_portions(effort).values())


class _Portions:
    """Turns what the steps of one task report into steps of the stage.

    Parameters
    ----------
    done : int
        Steps of the tasks before.
    total : int
        Steps of all tasks.
    """

    def __init__(
        self, progress: StageProgress, effort: SegmentationEffort, done: int, total: int
    ) -> None:
        self._portions = StagePortions(progress, _portions(effort), done, total)
        self.check = progress.check_canceled
        self.encoded(0)

    def encoded(self, share: float) -> None:
        """Report how much of the points is described."""
        self._portions.tell(ENCODE, share)

    def asked(self, done: int, prompts: int) -> None:
        """Report prompts that have their masks; there may be fewer than were wanted."""
        self._portions.tell(ASK, done / max(prompts, 1))

    def selected(self) -> None:
        """Report that the masks were chosen."""
        self._portions.tell(SELECT, 1)
