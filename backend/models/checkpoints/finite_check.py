"""Finds tensors with numbers that are none, such as training that failed leaves. Imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from backend.models.checkpoints.checkpoint import Component
from backend.models.checkpoints.tensor_check import TensorDefect, TensorFinding

NUMBERS_AT_ONCE = 1 << 22
CHECKED_DTYPES = frozenset({torch.float64, torch.float32, torch.float16, torch.bfloat16})
"""Floating numbers of other types are not loaded: they are told by their type."""


def check_finite(component: Component, tensors: Mapping[str, Tensor]) -> Iterator[TensorFinding]:
    """Find the tensors that hold what is no number, or is infinite; each is read once.

    Parameters
    ----------
    tensors : mapping
        By published name without prefix. Of a file that is mapped into memory only the piece that
        is looked at takes any.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in CHECKED_DTYPES:
            continue
        wrong = _not_finite(tensor)
        if wrong:
            detail = f"{wrong} of {tensor.numel()} numbers"
            yield TensorFinding(component, f"{component}.{name}", TensorDefect.NOT_FINITE, detail)


def _not_finite(tensor: Tensor) -> int:
    pieces = tensor.flatten().split(NUMBERS_AT_ONCE)
    return sum(_wrong_of(piece) for piece in pieces if piece.numel())


def _wrong_of(piece: Tensor) -> int:
    """Count what is no number; the extremes tell whether there is any, a hundred times faster."""
    if all(bool(torch.isfinite(extreme)) for extreme in torch.aminmax(piece)):
        return 0
    return int((~torch.isfinite(piece)).sum())
