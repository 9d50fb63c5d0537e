"""Engine ``alpha``: the picture's own transparency."""

from __future__ import annotations

from collections.abc import Sequence

from backend.catalog import CutOutParams
from backend.engines.background_task import BackgroundTask, CutOut, require_object
from backend.engines.engine import Needs
from backend.errors import NoForeground
from backend.meshes.masks import keep_large_islands
from backend.meshes.picture import OPAQUE
from backend.progress import StageProgress

ISLAND_SHARE = 0.01
FAINTEST = 8


class AlphaBackground:
    """Takes what is opaque as the object."""

    name = "alpha"
    title = "The picture's own transparency"
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
        """Threshold the alpha channel; raises NoForeground when there is none."""
        results = []
        for done, task in enumerate(batch):
            progress.step(done, len(batch))
            results.append(self._cut(task))
        return results

    def _cut(self, task: BackgroundTask) -> CutOut:
        if not task.picture.has_alpha:
            raise NoForeground(
                "The picture has no transparency.", advice="Choose background 'auto'."
            )
        alpha = task.picture.rgba[..., 3]
        threshold = min(OPAQUE, max(FAINTEST, int(alpha.max()) // 2))  # glass may be faint all over
        mask = keep_large_islands(alpha >= threshold, ISLAND_SHARE)
        return require_object(CutOut(mask, self.name, 1.0))
