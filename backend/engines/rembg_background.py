"""Engine ``rembg``: the optional package rembg, used when it and its model are installed."""

from __future__ import annotations

import importlib
import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from backend.engines.background_task import BackgroundTask, CutOut, PictureByPicture
from backend.engines.engine import Needs
from backend.meshes.masks import keep_large_islands
from backend.progress import StageProgress

MODEL = "u2net"
ISLAND_SHARE = 0.05


class RembgBackground(PictureByPicture):
    """Runs rembg's U2-Net; never downloads its model by itself."""

    name = "rembg"
    title = "rembg (U2-Net)"
    needs = Needs(weights=(f"{MODEL}.onnx",))

    def __init__(self) -> None:
        self._session: Any = None

    def available(self) -> str | None:
        """Return None when the package and its model are there."""
        if importlib.util.find_spec("rembg") is None:
            return "the package rembg is not installed"
        if not _model_file().is_file():
            return f"its model is missing: run 'rembg d {MODEL}'"
        return None

    def cut(self, task: BackgroundTask, progress: StageProgress) -> CutOut:
        """Run the model; its certainty is the confidence."""
        rembg = importlib.import_module("rembg")
        if self._session is None:
            self._session = rembg.new_session(MODEL)
        image = Image.fromarray(task.picture.rgb)
        grey = np.asarray(rembg.remove(image, session=self._session, only_mask=True))
        soft = grey.astype(np.float32) / 255
        mask = keep_large_islands(soft > 0.5, ISLAND_SHARE)
        decided = float(np.abs(soft - 0.5).mean() * 2)  # 1 where every pixel is clear-cut
        return CutOut(mask, self.name, round(decided, 3))


def _model_file() -> Path:
    folder = os.environ.get("U2NET_HOME")
    return (Path(folder) if folder else Path.home() / ".u2net") / f"{MODEL}.onnx"
