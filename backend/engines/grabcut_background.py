"""Engine ``grabcut``: a colour model of the border, and GrabCut where that is not enough."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backend.catalog import CutOutParams
from backend.engines.background_task import BackgroundTask, CutOut, require_object
from backend.engines.engine import Needs
from backend.errors import NoForeground
from backend.meshes.background import fit_border, grabcut_mask, plain_mask, to_lab
from backend.meshes.masks import Mask
from backend.progress import StageProgress

PLAIN_SHARE = 0.9
GRABCUT_CONFIDENCE = 0.6
MIN_CONTRAST = 3.0


class GrabcutBackground:
    """Finds the object by colour; sure of itself only on plain backgrounds."""

    name = "grabcut"
    title = "Border colours and GrabCut (built in)"
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
            results.append(self._cut(task, progress))
        return results

    def _cut(self, task: BackgroundTask, progress: StageProgress) -> CutOut:
        lab = to_lab(task.picture.rgb)
        if float(lab.std(axis=(0, 1)).max()) < MIN_CONTRAST / 2:
            raise NoForeground("The picture is of a single colour.")
        border = fit_border(lab)
        if border.plain_share > PLAIN_SHARE:
            mask = plain_mask(lab, border)
            confidence = border.plain_share * (1 - _touch(mask, border.ring))
            return require_object(CutOut(mask, "plain", round(confidence, 3)))
        progress.check_canceled()
        mask = grabcut_mask(task.picture.rgb, lab, border.ring)
        confidence = max(0.0, GRABCUT_CONFIDENCE - _touch(mask, border.ring))
        return require_object(CutOut(mask, "grabcut", round(confidence, 3)))


def _touch(mask: Mask, ring: Mask) -> float:
    """Share of the border that the object covers."""
    return float(np.asarray(mask[ring]).mean())
