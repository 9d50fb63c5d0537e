"""What every background engine takes, gives and does alike."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from backend.catalog import CutOutParams
from backend.engines.engine import Needs
from backend.errors import NoForeground
from backend.meshes.masks import Mask
from backend.meshes.picture import Picture
from backend.progress import StageProgress

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


class PictureByPicture(ABC):
    """A background engine that cuts one picture after the other, all at the same cost."""

    name: str
    title: str
    needs = Needs()

    def available(self) -> str | None:
        """Run anywhere."""
        return None

    def batch_key(self, params: CutOutParams) -> str:
        """Treat all pictures alike."""
        return self.name

    def cost_key(self, params: CutOutParams) -> str:
        """Cost the same for all parameters."""
        return self.name

    def run(self, batch: Sequence[BackgroundTask], progress: StageProgress) -> list[CutOut]:
        """Cut every picture out; raises NoForeground."""
        results = []
        for done, task in enumerate(batch):
            progress.step(done, len(batch))
            results.append(require_object(self.cut(task, progress)))
        return results

    @abstractmethod
    def cut(self, task: BackgroundTask, progress: StageProgress) -> CutOut:
        """Find the object in one picture."""
