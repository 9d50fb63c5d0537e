"""Layers that the two halves of the shape decoder share. Imports torch."""

from __future__ import annotations

from torch import Tensor, nn

NORM_EPS = 1e-6


class FeedForward(nn.Module):
    """Two layers with a GELU between them."""

    def __init__(self, width: int, ratio: int) -> None:
        super().__init__()
        self.wide = nn.Linear(width, ratio * width)
        self.gelu = nn.GELU()
        self.narrow = nn.Linear(ratio * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens in the shape of ``tokens``."""
        narrowed: Tensor = self.narrow(self.gelu(self.wide(tokens)))
        return narrowed


def head_norm(head_dim: int, is_wanted: bool) -> nn.Module:
    """Return what normalises queries or keys over the channels of each head."""
    return nn.LayerNorm(head_dim, eps=NORM_EPS) if is_wanted else nn.Identity()
