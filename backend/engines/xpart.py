"""Engine ``xpart``: makes every part of an object anew, hidden surfaces too, with X-Part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backend.catalog import CutOutParams
from backend.engines.cap_parts import CapParts
from backend.engines.engine import Needs
from backend.engines.gpu_presence import has_gpu
from backend.engines.model_readiness import unready_reason
from backend.engines.part_effort import PartEffort, effort_for
from backend.engines.part_points import BoxedParts, boxed_parts, part_points
from backend.engines.part_tasks import CompletedParts, CompletionTask
from backend.engines.stage_portions import StagePortions
from backend.meshes.closed_part import ClosedPart
from backend.meshes.generated_part import generated_part, part_look
from backend.profiling.recorder import profile_stage
from backend.progress import SilentSink, StageProgress
from backend.settings import Settings

if TYPE_CHECKING:
    from backend.engines.part_decode import DecodedPart

MODEL_ID = "x-part"
STEPS_PER_PART = 20
"""Of progress, for reading one part off."""
SAMPLE, ENCODE, DENOISE, DECODE = "sample", "encode", "denoise", "decode"

NOTICE = (
    "The parts were made anew by a network: hidden surfaces are its guess, the others differ a "
    "little from the given ones, and each part has one colour in place of textures."
)
CUT_OFF = "It reached beyond the space it was looked for in, and was closed there."
GROUPED = (
    "Memory did not suffice for all parts at once: they were made in {groups} groups, and parts "
    "of different groups may overlap or leave gaps."
)
NO_SURFACE = "The network found no surface for it, so the given one was closed."
NOTHING_IN_BOX = "Nothing of the mesh lies in its box, so the given faces were closed."
LEFT_OUT = "Boxes that hold nothing of the mesh, and for which there is no part: {numbers}."


class XPart:
    """Native networks for parts, on a GPU, or in hours on a processor."""

    name = "xpart"
    title = "X-Part (its weights are needed)"
    # It runs without a GPU too; said of a device of its own, calls come one at a time.
    needs = Needs(weights=(MODEL_ID,), device="cuda", is_too_slow_without_gpu=True)

    def available(self) -> str | None:
        """Need torch and the weights, whose licence was accepted."""
        return unready_reason(MODEL_ID, Settings.from_env())

    def batch_key(self, params: CutOutParams) -> str:
        """Batch by all parameters."""
        return params.model_dump_json(exclude={"seed"})

    def cost_key(self, params: CutOutParams) -> str:
        """Cost by effort."""
        asked = {"preset", "part_quality", "part_steps", "part_solver", "part_cells"}
        return params.model_dump_json(include=asked)

    def run(self, batch: Sequence[CompletionTask], progress: StageProgress) -> list[CompletedParts]:
        """Make the parts of every task.

        A part that the network cannot make is closed as ``cap_parts`` does, and says so.

        Raises
        ------
        JobCanceled, WeightsMissing, LicenceNotAccepted, CheckpointConfigInvalid, OutOfMemory,
        ModelTooLarge, GpuBusy
        """
        on_gpu = has_gpu(Settings.from_env())
        runs = [
            _Run(
                task,
                effort_for(task.wishes, on_gpu=on_gpu),
                boxed_parts(task, progress.check_canceled),
            )
            for task in batch
        ]
        total = sum(run.steps for run in runs)
        done, completed = 0, []
        for run in runs:
            portions = StagePortions(progress, run.portions, done, total)
            completed.append(_completed(run, portions, progress))
            done += run.steps
        progress.step(total, total)
        return completed


@dataclass(frozen=True)
class _Run:
    """A task, and what has to be done for it."""

    task: CompletionTask
    effort: PartEffort
    parts: BoxedParts

    @property
    def portions(self) -> dict[str, int]:
        """Steps of progress of each portion."""
        count = len(self.parts.numbers)
        if not count:
            return {}
        return {
            SAMPLE: 1,
            ENCODE: 1 + count,
            DENOISE: self.effort.calls,
            DECODE: STEPS_PER_PART * count,
        }

    @property
    def steps(self) -> int:
        return sum(self.portions.values())


def _completed(run: _Run, portions: StagePortions, progress: StageProgress) -> CompletedParts:
    """Make the parts of one task, each told of as soon as it is there."""
    making = _Making(run)
    facts, notices = {}, [run.effort.notice]
    if run.parts.numbers:
        facts = _through_networks(run, portions, making)
        notices += _network_notices(making.made, facts)
    left_out = making.cap_the_others(progress)
    notices.append(LEFT_OUT.format(numbers=", ".join(map(str, left_out))) if left_out else "")
    parts = sorted(making.made, key=lambda part: part.part)
    return CompletedParts(parts, facts, " ".join(text for text in notices if text))


def _network_notices(made: Sequence[ClosedPart], facts: Mapping[str, Any]) -> list[str]:
    """Say what is true of parts that the network made; nothing where it made none."""
    if not made:
        return []
    return [NOTICE, GROUPED.format(groups=facts["groups"]) if facts["groups"] > 1 else ""]


def _through_networks(run: _Run, portions: StagePortions, making: _Making) -> dict[str, Any]:
    """Follow the networks from points to surfaces, one at a time; returns how it was done."""
    from backend.engines.part_completion_steps import PartSteps

    steps = PartSteps(run.effort, run.task.seed)
    with profile_stage("sample_parts"):
        told = partial(portions.tell, SAMPLE)
        points = part_points(run.parts, run.task.seed, steps.surface_points, told)
    contexts = steps.encoded(points, partial(portions.tell, ENCODE))
    latents = steps.denoised(contexts, partial(portions.tell, DENOISE))
    steps.read_off(latents, points, partial(portions.tell, DECODE), making.take)
    return steps.facts()


class _Making:
    """The parts of one task as they come.

    Attributes
    ----------
    made : list of ClosedPart
        In the order in which they came.
    """

    def __init__(self, run: _Run) -> None:
        self.made: list[ClosedPart] = []
        self._run = run
        self._unmade = dict.fromkeys(run.parts.empty, NOTHING_IN_BOX)

    def take(self, place: int, decoded: DecodedPart | None) -> None:
        """Take what the networks made of a part, in the place it has among those with faces."""
        number = self._run.parts.numbers[place]
        if decoded is None:
            self._unmade[number] = NO_SURFACE
            return
        unit = self._run.parts.unit
        placed = decoded.mesh.with_vertices(unit.to_world(decoded.mesh.vertices))
        look = part_look(self._run.task.mesh.selected(self._own_faces(number)))
        notice = CUT_OFF if decoded.is_cut_off else None
        self._keep(generated_part(number, placed, look, notice))

    def cap_the_others(self, progress: StageProgress) -> list[int]:
        """Close the given faces of what could not be made; returns those that have no faces."""
        left_out = []
        for number, why in sorted(self._unmade.items()):
            is_own = self._own_faces(number)
            if is_own.any():
                self._keep(self._capped(number, is_own, why, progress))
            else:
                left_out.append(number)
        return left_out

    def _keep(self, part: ClosedPart) -> None:
        self.made.append(part)
        self._run.task.on_part(part)

    def _own_faces(self, number: int) -> NDArray[np.bool_]:
        """Return the faces of a part, (m,): its own, or where it has none those of its box."""
        parts = self._run.parts
        is_own: NDArray[np.bool_] = self._run.task.face_parts == number
        if not is_own.any() and number in parts.numbers:
            is_own[parts.faces[parts.numbers.index(number)]] = True
        return is_own

    def _capped(
        self, number: int, is_own: NDArray[np.bool_], why: str, progress: StageProgress
    ) -> ClosedPart:
        labels = np.where(is_own, number, -1).astype(np.int32)
        alone = CompletionTask(self._run.task.mesh, labels)
        (completed,) = CapParts().run([alone], _Unheard(progress))
        (closed,) = completed.parts
        return replace(closed, notice=f"{why} {closed.notice or ''}".rstrip())


class _Unheard(StageProgress):
    """Passes on the wish to stop, and no steps: those of the parts are counted already."""

    def __init__(self, progress: StageProgress) -> None:
        super().__init__(SilentSink(), progress.stage)
        self._of_stage = progress

    def check_canceled(self) -> None:
        """Raise JobCanceled when the user asked to stop."""
        self._of_stage.check_canceled()
