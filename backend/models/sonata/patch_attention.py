"""Attention among points that follow each other on a line through the grid. Imports torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from backend.models.attention import Attend, joined_heads, plain_attention

# Heads times patches of one call. Plain products keep a matrix for each: 4 MiB for 1024 points.
MATRICES_PER_CALL = 48


class PatchAttention(nn.Module):
    """Multi-head attention within runs of a fixed length.

    The last run is completed with the points before it: they are looked at, and have their own
    results from the run they are in.

    Parameters
    ----------
    width, heads : int
    patch : int
        Points of one run.
    attend : Attend, optional

    Source
    ------
    Wu et al., Point Transformer V3: Simpler, Faster, Stronger (2024).
    """

    def __init__(
        self, width: int, heads: int, patch: int, attend: Attend = plain_attention
    ) -> None:
        super().__init__()
        self.heads = heads
        self.patch = patch
        self.attend = attend
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, serialized: Tensor) -> Tensor:
        """Return features of the same shape.

        Parameters
        ----------
        serialized : Tensor, shape (points, width)
            In the order of the line.
        """
        qkv = self.qkv(serialized)
        points = len(qkv)
        patch = min(self.patch, points)
        whole = points - points % patch
        runs = qkv[:whole].unflatten(0, (-1, patch)).split(calls_for(whole // patch, self.heads))
        attended = [self._within(run) for run in runs]
        if whole < points:
            last = self._within(qkv[None, points - patch :])
            attended.append(last[whole - points :])
        result: Tensor = self.out(torch.cat(attended))
        return result

    def _within(self, qkv: Tensor) -> Tensor:
        """Attend within patches, (patches, points, 3 width), and string the results together."""
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return joined_heads(self.attend(q, k, v)).flatten(0, 1)


def calls_for(patches: int, heads: int) -> list[int]:
    """Divide patches among calls of few different sizes: backends are measured for each anew.

    >>> calls_for(38, heads=3)
    [16, 16, 4, 1, 1]
    """
    largest = max(1, MATRICES_PER_CALL // heads)
    calls = []
    for size in (largest, max(1, largest // 4), 1):
        calls += [size] * (patches // size)
        patches %= size
    return calls
