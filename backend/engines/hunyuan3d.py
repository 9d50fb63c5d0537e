"""Engine ``hunyuan3d``: Hunyuan3D 2.0, 2mini, 2mv and 2.1, from their own weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from backend.catalog import CutOutParams
from backend.engines.engine import FailedItem, Needs
from backend.engines.shape_model_choice import (
    ShapeEffort,
    chosen_model,
    effort_for,
    unavailable_reason,
)
from backend.engines.shape_task import Shape, ShapeTask
from backend.models.hunyuan3d.picture import View
from backend.progress import StageProgress
from backend.settings import Settings

if TYPE_CHECKING:
    from backend.engines.shape_steps import ShapeSteps

DECODE_PARTS = 20
FRONT_ONLY = (
    "Only the front picture was used: no multi-view model is ready on this server, see Models."
)


class Hunyuan3D:
    """Native networks for shapes, on a GPU, or slowly on a processor."""

    name = "hunyuan3d"
    title = "Hunyuan3D (its weights are needed)"
    needs = Needs(weights=("a model of 'python -m backend models list'",))
    batches = True
    takes_views = True

    def available(self) -> str | None:
        """Need torch and the weights of a model whose licence was accepted."""
        return unavailable_reason(Settings.from_env())

    def batch_key(self, params: CutOutParams) -> str:
        """Batch by all parameters."""
        return params.model_dump_json(exclude={"seed"})

    def cost_key(self, params: CutOutParams) -> str:
        """Cost by model and effort."""
        shown = {"preset", "model", "steps", "grid_resolution", "decoder"}
        return params.model_dump_json(include=shown)

    def run(self, batch: Sequence[ShapeTask], progress: StageProgress) -> list[Shape | FailedItem]:
        """Make a shape for every task; one without a surface fails alone.

        Raises
        ------
        NoForeground, EngineUnavailable, LicenceNotAccepted, WeightsMissing
        """
        from backend.engines.shape_steps import ShapeSteps

        groups = _alike(batch)
        total = sum(group.parts for group in groups)
        found: dict[int, Shape | FailedItem] = {}
        done = 0
        for group in groups:
            tell = _Portions(progress, done, group.effort.steps, total)
            shapes = _shapes(ShapeSteps(group.effort, tell), group.tasks)
            for place, shape in zip(group.places, shapes, strict=True):
                found[place] = _noted(shape, batch[place])
            done += group.parts
        progress.step(total, total)
        return [found[place] for place in range(len(batch))]


def _noted(shape: Shape | FailedItem, asked: ShapeTask) -> Shape | FailedItem:
    """Say that pictures from other sides were left out."""
    if isinstance(shape, FailedItem) or len(shape.facts["views"]) == len(asked.views):
        return shape
    return replace(shape, notice=f"{FRONT_ONLY} {shape.notice}".rstrip())


def _shapes(steps: ShapeSteps, tasks: Sequence[ShapeTask]) -> list[Shape | FailedItem]:
    """Encode the pictures, follow the denoiser, read the shapes off; one network at a time."""
    pictures = steps.prepared(tasks)
    context = steps.encoded(pictures)
    latents = steps.denoised(context, [task.seed for task in tasks])
    return steps.read_off(latents, tasks)


@dataclass(frozen=True)
class _Group:
    """Tasks that one pass through the networks can take, and their places in the batch."""

    effort: ShapeEffort
    places: tuple[int, ...]
    tasks: tuple[ShapeTask, ...]

    @property
    def parts(self) -> int:
        """Steps of progress."""
        return self.effort.steps + DECODE_PARTS * len(self.tasks)


def _alike(batch: Sequence[ShapeTask]) -> list[_Group]:
    """Put together the tasks with the same wishes and the same views."""
    places_of: dict[Any, list[int]] = {}
    for place, task in enumerate(batch):
        places_of.setdefault((task.wishes, tuple(sorted(task.views))), []).append(place)
    return [_group(places, [batch[place] for place in places]) for places in places_of.values()]


def _group(places: list[int], tasks: list[ShapeTask]) -> _Group:
    wishes = tasks[0].wishes
    model = chosen_model(wishes, len(tasks[0].views), Settings.from_env())
    if (model.views or 1) < len(tasks[0].views):
        front = View.FRONT.value
        tasks = [replace(task, views={front: task.views[front]}) for task in tasks]
    return _Group(effort_for(wishes, model), tuple(places), tuple(tasks))


class _Portions:
    """Turns what the networks report into steps of the stage, which never become fewer.

    Parameters
    ----------
    done : int
        Steps of the groups before.
    steps : int
        Calls of the denoiser for this one.
    total : int
        Steps of all groups.
    """

    def __init__(self, progress: StageProgress, done: int, steps: int, total: int) -> None:
        self._progress = progress
        self._done, self._steps, self._total = done, steps, total
        self._most = 0

    def step(self, done: int, _steps: int) -> None:
        """Report calls of the denoiser."""
        self._tell(done)

    def decode(self, item: int, share: float) -> None:
        """Report a share of the decode of one item."""
        parts = DECODE_PARTS * item + int(DECODE_PARTS * share)
        self._tell(self._steps + parts)

    def _tell(self, steps: int) -> None:
        """Keep to the most so far: a decoder may learn on its way that there is more to do."""
        self._most = max(self._most, steps)
        self._progress.step(self._done + self._most, self._total)
