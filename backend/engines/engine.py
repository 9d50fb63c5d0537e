"""The engine seam: one way of doing one stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

from backend.catalog import CutOutParams
from backend.errors import MeshkilnError
from backend.progress import StageProgress

Task = TypeVar("Task")
Result = TypeVar("Result")
Task_contra = TypeVar("Task_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)


@dataclass(frozen=True)
class FailedItem:
    """Stands for the result of a task that failed while nothing is wrong with the others."""

    error: MeshkilnError


class Role(StrEnum):
    """What an engine is chosen for."""

    BACKGROUND = "background"
    SHAPE = "shape"
    TEXTURE = "texture"
    SEGMENTATION = "segmentation"
    COMPLETION = "completion"
    SPEECH = "speech"


@dataclass(frozen=True)
class Needs:
    """What an engine needs before it can run.

    Parameters
    ----------
    weights : tuple of str
        Names of the model files, empty for built-in engines.
    device : str
        'cpu' or 'cuda'.
    is_too_slow_without_gpu : bool
        Without a GPU it takes so long that it runs only if it is asked for by name.
    """

    weights: tuple[str, ...] = ()
    device: str = "cpu"
    is_too_slow_without_gpu: bool = False


class Engine(Protocol[Task_contra, Result_co]):
    """One way of doing a stage; stateless between calls."""

    name: str
    title: str
    needs: Needs

    def available(self) -> str | None:
        """Return None when it can run here, otherwise the reason why not."""

    def batch_key(self, params: CutOutParams) -> str:
        """Key of tasks that one call of ``run`` may take together."""

    def cost_key(self, params: CutOutParams) -> str:
        """Key of tasks that take about the same time and memory."""

    def run(
        self, batch: Sequence[Task_contra], progress: StageProgress
    ) -> Sequence[Result_co | FailedItem]:
        """Do the stage for each task; one result per task, in order.

        A ``FailedItem`` is the result of a task that failed alone; what is raised fails the call.
        """


AnyEngine = Engine[Any, Any]


@dataclass(frozen=True)
class Listing(Generic[Task, Result]):
    """An engine in the registry, with its rank among those of its role (higher is better)."""

    role: Role
    engine: Engine[Task, Result]
    rank: int
