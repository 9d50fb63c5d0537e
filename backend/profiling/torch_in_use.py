"""Whether this process computes on a GPU; torch is never imported for the question."""

from __future__ import annotations

import sys
from typing import Any


def cuda_in_use() -> Any:
    """Return ``torch.cuda`` once torch has started CUDA in this process, else None."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    is_initialized = getattr(cuda, "is_initialized", None)  # not there while torch is imported
    return cuda if is_initialized is not None and is_initialized() else None
