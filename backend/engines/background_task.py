"""What every background engine takes and gives."""

from __future__ import annotations

from dataclasses import dataclass

from backend.errors import NoForeground
from backend.meshes.masks import Mask
from backend.meshes.picture import Picture

MIN_COVERAGE = 0.002


@dataclass(frozen=True)
class BackgroundTask:
    """A picture at working size."""

    picture: Picture


@dataclass(frozen=True)
class CutOut:
    """The object found.

    Parameters
    ----------
    mask : (h, w) bool
        Of the task's size.
    method : str
        'alpha', 'plain', 'grabcut', 'rembg' or 'painted'.
    confidence : float
        0 to 1; below 0.6 a person should look.
    """

    mask: Mask
    method: str
    confidence: float

    @property
    def coverage(self) -> float:
        """Share of the picture that the object covers."""
        return float(self.mask.mean())


def require_object(cut_out: CutOut) -> CutOut:
    """Return it if it holds enough pixels; raises NoForeground."""
    if cut_out.coverage < MIN_COVERAGE:
        raise NoForeground(
            f"Only {100 * cut_out.coverage:.2f} % of the picture was told from the background."
        )
    return cut_out
