"""How much X-Part spends on parts: by what was asked for, the preset, and the device."""

from __future__ import annotations

from dataclasses import dataclass, replace

from backend.catalog import PartQuality, PartSolver, Preset
from backend.engines.part_tasks import CompletionWishes

PUBLISHED_STEPS, PUBLISHED_CELLS = 50, 512
FEWER_STEPS, SECOND_ORDER_STEPS = 25, 13
"""Both ask the denoiser 24 times instead of 49."""
WAYS = {
    PartQuality.EXACT: (PUBLISHED_STEPS, PartSolver.EULER),
    PartQuality.FEWER_STEPS: (FEWER_STEPS, PartSolver.EULER),
    PartQuality.SECOND_ORDER: (SECOND_ORDER_STEPS, PartSolver.MIDPOINT),
}
_SIZES = {
    Preset.DRAFT: (PartQuality.FEWER_STEPS, 192),
    Preset.STANDARD: (PartQuality.EXACT, 256),
    Preset.HIGH: (PartQuality.EXACT, PUBLISHED_CELLS),
}


@dataclass(frozen=True)
class PartEffort:
    """What X-Part spends on the parts of an object.

    Parameters
    ----------
    steps : int
        From noise to parts; the last of them has no length and is not made.
    solver : PartSolver
    cells : int
        Along the cube that holds the whole object.
    notice : str
        What people should know where less is done than the preset says.
    """

    steps: int = PUBLISHED_STEPS
    solver: PartSolver = PartSolver.EULER
    cells: int = 256
    notice: str = ""

    @property
    def is_published(self) -> bool:
        """Whether the denoiser is followed as its authors do; other ways lead to other parts.

        >>> PartEffort(cells=64).is_published, PartEffort(steps=49).is_published
        (True, False)
        """
        return self.steps == PUBLISHED_STEPS and self.solver is PartSolver.EULER

    @property
    def quality(self) -> PartQuality | None:
        """The named way that is gone; None for one that was put together by hand.

        >>> PartEffort(steps=13, solver=PartSolver.MIDPOINT).quality.value
        'second_order'
        >>> PartEffort(steps=13).quality
        """
        way = self.steps, self.solver
        return next((quality for quality, named in WAYS.items() if named == way), None)

    @property
    def calls(self) -> int:
        """Calls of the denoiser.

        >>> PartEffort().calls, PartEffort(steps=1).calls
        (49, 1)
        """
        made = max(self.steps - 1, 1)
        return made if self.solver is PartSolver.EULER else 2 * made


def effort_for(wishes: CompletionWishes, *, on_gpu: bool) -> PartEffort:
    """Fill in what was not asked for: by the preset, on a processor always that of a draft.

    Steps and solver that are asked for count before the quality, and that before the preset.

    Examples
    --------
    >>> effort_for(CompletionWishes(Preset.HIGH), on_gpu=True).cells
    512
    >>> effort_for(CompletionWishes(steps=50), on_gpu=False).cells
    192
    """
    preset = wishes.preset if on_gpu else Preset.DRAFT
    quality, cells = _SIZES[preset]
    steps, solver = WAYS[wishes.quality or quality]
    effort = PartEffort(wishes.steps or steps, wishes.solver or solver, wishes.cells or cells)
    is_less = not on_gpu and wishes.preset is not Preset.DRAFT
    is_open = wishes.cells is None or (wishes.steps is None and wishes.quality is None)
    told = _on_processor(effort, wishes) if is_less and is_open else ""
    return replace(effort, notice=f"{told} {_way(effort)}".strip())


def _way(effort: PartEffort) -> str:
    """Say that another way is gone than the published one."""
    if effort.is_published:
        return ""
    published = f"{PUBLISHED_STEPS} {PartSolver.EULER} steps"
    named = f" (quality {effort.quality})" if effort.quality else ""
    return (
        f"Lossy{named}: parts differ from those of the published way, {effort.steps} "
        f"{effort.solver} steps instead of {published}."
    )


def _on_processor(effort: PartEffort, wishes: CompletionWishes) -> str:
    return (
        f"There is no GPU here, so X-Part took the sizes of a draft where none were given: "
        f"{effort.steps} steps, {effort.cells} cells instead of those of the preset "
        f"{wishes.preset}. On a processor it takes from many minutes to hours; cap_parts takes "
        "seconds."
    )
