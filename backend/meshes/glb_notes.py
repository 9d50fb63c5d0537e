"""Notes that a GLB carries in ``asset.extras``, read without reading the mesh."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

SHAPE_MODE = "shape_mode"
_HEAD_BYTES = 20


def notes_in(path: Path) -> dict[str, Any]:
    """Read the notes of a GLB that this server wrote; empty where there are none."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        if len(head) < _HEAD_BYTES:
            return {}
        root = json.loads(file.read(struct.unpack("<I", head[12:16])[0]))
    extras = root.get("asset", {}).get("extras", {})
    return extras if isinstance(extras, dict) else {}


def shape_mode_in(path: Path) -> str | None:
    """Return how the shape was guessed, for a model that was inflated from a picture."""
    mode = notes_in(path).get(SHAPE_MODE)
    return mode if isinstance(mode, str) else None
