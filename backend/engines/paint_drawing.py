"""Where surfaces are drawn: on the GPU where it has room, else on the processor."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

from backend.errors import GpuBusy, ModelTooLarge, OutOfMemory
from backend.residency.process import current_residency
from backend.units import MB

DRAWING_BYTES = 2_000 * MB  # 1.4 GB were counted for a picture of 2048 px and 40,000 faces
_WAIT_S = 1.0  # drawing on the processor takes hardly longer
Found = TypeVar("Found")


def drawing_device(on_gpu: bool) -> str | None:
    """Return where surfaces are drawn first: the GPU, or None for the processor."""
    return "cuda" if on_gpu else None


def drawn(draw: Callable[[str | None], Found], device: str | None) -> Found:
    """Draw on a device, or on the processor where the device has no room left.

    Parameters
    ----------
    draw : callable
        Given where to draw; None for the processor. It may be called twice.
    """
    if device is None:
        return draw(None)
    try:
        with current_residency().manager().reserve(DRAWING_BYTES, timeout_s=_WAIT_S):
            return draw(device)
    except (OutOfMemory, ModelTooLarge, GpuBusy):
        pass
    except RuntimeError as error:
        if not isinstance(error, sys.modules["torch"].OutOfMemoryError):
            raise
    return draw(None)
