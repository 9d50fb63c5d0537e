"""How much of a surface P3-SAM looks at: by what was asked for, the preset, and the device."""

from __future__ import annotations

from dataclasses import dataclass

from backend.catalog import Preset
from backend.engines.mask_head_work import mask_flop
from backend.engines.part_tasks import SegmentationWishes
from backend.models.p3sam.config import HeadsConfig

MODEL_ID = "p3-sam"
PUBLISHED_POINTS, PUBLISHED_PROMPTS = 100_000, 400
DRAFT_POINTS, DRAFT_PROMPTS = 20_000, 128
HIGH_POINTS, HIGH_PROMPTS = 200_000, 800
_SIZES = {
    Preset.DRAFT: (DRAFT_POINTS, DRAFT_PROMPTS),
    Preset.STANDARD: (PUBLISHED_POINTS, PUBLISHED_PROMPTS),
    Preset.HIGH: (HIGH_POINTS, HIGH_PROMPTS),
}
TERA = 1e12


@dataclass(frozen=True)
class SegmentationEffort:
    """What P3-SAM spends on a surface.

    Parameters
    ----------
    points : int
        Points of the surface that are looked at.
    prompts : int
        Points for whose part is asked.
    threshold : float
        Share of the area beyond which small parts join their neighbours.
    post_process : bool
        Whether they do.
    notice : str
        What people should know where it is less than the authors spend.
    """

    points: int = PUBLISHED_POINTS
    prompts: int = PUBLISHED_PROMPTS
    threshold: float = 0.95
    post_process: bool = True
    notice: str = ""

    @property
    def head_tflop(self) -> float:
        """Operations of the mask heads, in 1e12.

        >>> round(SegmentationEffort().head_tflop)
        100
        """
        return mask_flop(HeadsConfig(), self.points, self.prompts) / TERA


def effort_for(wishes: SegmentationWishes, *, on_gpu: bool) -> SegmentationEffort:
    """Fill in what was not asked for: by the preset, on a processor always that of a draft.

    More prompts than points are not asked for.

    Examples
    --------
    >>> effort_for(SegmentationWishes(), on_gpu=True).notice
    ''
    >>> effort_for(SegmentationWishes(prompts=400), on_gpu=False).points
    20000
    """
    preset = wishes.preset if on_gpu else Preset.DRAFT
    points, prompts = _SIZES[preset]
    points = wishes.points or points
    prompts = min(wishes.prompts or prompts, points)
    notice = _notice(wishes, _sizes_text(points, prompts), on_gpu=on_gpu)
    return SegmentationEffort(points, prompts, wishes.threshold, wishes.post_process, notice)


def _notice(wishes: SegmentationWishes, taken: str, *, on_gpu: bool) -> str:
    """Say why less is looked at than the authors do; nothing where all sizes were asked for."""
    if wishes.points is not None and wishes.prompts is not None:
        return ""
    asked_for_draft = wishes.preset is Preset.DRAFT
    if on_gpu and not asked_for_draft:
        return ""
    if asked_for_draft:
        published = _sizes_text(PUBLISHED_POINTS, PUBLISHED_PROMPTS)
        return f"A draft: {taken} instead of {published}, so small parts may be missed."
    full = _SIZES[wishes.preset]
    tflop = SegmentationEffort(*full).head_tflop
    return (
        "There is no GPU here, so P3-SAM took the sizes of a draft where none were given "
        f"({taken} in all), and may have missed small parts. The {wishes.preset.value} preset "
        f"({_sizes_text(*full)}) takes {tflop:,.0f} TFLOP in the mask heads alone. "
        "Give points and prompts to look closer."
    )


def _sizes_text(points: int, prompts: int) -> str:
    return f"{points:,} points and {prompts} prompts"
