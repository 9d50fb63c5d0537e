"""A server's folders with tiny models that paint in them, and something to paint."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backend.engines.hunyuan3d_paint import Hunyuan3DPaint
from backend.engines.texture_task import ReferencePicture, TextureTask, TextureWishes
from backend.meshes.frame import PictureFrame
from backend.meshes.picture import Picture
from backend.models.checkpoints.acceptance import Acceptances
from backend.models.checkpoints.catalogue import MODELS
from backend.progress import StageProgress
from backend.residency import process
from backend.units import SystemClock
from tests.engines.counting_sink import CountingSink
from tests.engines.tiny_xpart import FOLDERS
from tests.meshes.solids import box

VIEW_PX, SIZE_PX, STEPS = 32, 32, 2


def look_in(root, patch):
    """Make this process look for weights in a folder, with nothing loaded."""
    for name, folder in FOLDERS:
        patch.setenv(name, str(root / folder))
    patch.setattr(process, "_current", None)


def accept_all(root):
    """Accept the licences of everything."""
    acceptances = Acceptances(root / "data" / "models", SystemClock())
    for model in MODELS:
        acceptances.accept(model)
    return root


def reference(azimuth_deg=0.0, colour=(200, 80, 40)):
    """A square of one colour on transparency, with a darker half."""
    rgba = np.zeros((48, 48, 4), np.uint8)
    rgba[8:40, 8:40] = (*colour, 255)
    rgba[24:40, 8:40, :3] //= 2
    mask = rgba[..., 3] > 0
    frame = PictureFrame(23.5, 39.5, 1 / 32)
    return ReferencePicture(Picture(rgba), mask, frame, azimuth_deg)


def task(model=None, **changes):
    wishes = TextureWishes(model=model, steps=STEPS, view_px=VIEW_PX, **changes.pop("wishes", {}))
    return replace(TextureTask(box(), (reference(),), SIZE_PX, seed=3, wishes=wishes), **changes)


def run(*tasks, sink=None):
    progress = StageProgress(sink or CountingSink(10_000), "texture_synthesis")
    return Hunyuan3DPaint().run(tasks, progress)
