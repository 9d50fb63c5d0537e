"""Whether networks of this process run on a GPU."""

from __future__ import annotations

from backend.gpu.choice import CPU
from backend.settings import Settings


def has_gpu(settings: Settings) -> bool:
    """Return whether networks of this process run on a GPU; imports torch to find out."""
    if settings.gpu == CPU:
        return False
    import torch

    return torch.cuda.is_available()
