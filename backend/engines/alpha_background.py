"""Engine ``alpha``: the picture's own transparency."""

from __future__ import annotations

from backend.engines.background_task import BackgroundTask, CutOut, PictureByPicture
from backend.errors import NoForeground
from backend.meshes.masks import keep_large_islands
from backend.meshes.picture import OPAQUE
from backend.progress import StageProgress

ISLAND_SHARE = 0.01
FAINTEST = 8


class AlphaBackground(PictureByPicture):
    """Takes what is opaque as the object."""

    name = "alpha"
    title = "The picture's own transparency"

    def cut(self, task: BackgroundTask, progress: StageProgress) -> CutOut:
        """Threshold the alpha channel; raises NoForeground when there is none."""
        if not task.picture.has_alpha:
            raise NoForeground(
                "The picture has no transparency.", advice="Choose background 'auto'."
            )
        alpha = task.picture.rgba[..., 3]
        threshold = min(OPAQUE, max(FAINTEST, int(alpha.max()) // 2))  # glass may be faint all over
        mask = keep_large_islands(alpha >= threshold, ISLAND_SHARE)
        return CutOut(mask, self.name, 1.0)
