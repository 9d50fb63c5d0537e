"""The seam for attention: networks take a function, engines decide which. Imports torch."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor
from torch.nn import functional


class Attend(Protocol):
    """Scaled dot-product attention without a mask.

    ``backend.engines.chosen_attention`` makes one that follows the settings and is measured.
    """

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, scale: float | None = None) -> Tensor:
        """Return softmax(scale * q k^T) v.

        Parameters
        ----------
        q : Tensor, shape (batch, heads, tokens, head_dim)
        k, v : Tensor, shape (batch, heads, context_tokens, head_dim)
        scale : float, optional
            1 / sqrt(head_dim) if absent.

        Returns
        -------
        Tensor, shape (batch, heads, tokens, head_dim)
        """


def plain_attention(q: Tensor, k: Tensor, v: Tensor, scale: float | None = None) -> Tensor:
    """Compute attention as torch chooses to; shapes as those of ``Attend``."""
    return functional.scaled_dot_product_attention(q, k, v, scale=scale)


def heads_of(tokens: Tensor, heads: int) -> Tensor:
    """Split channels into heads.

    Parameters
    ----------
    tokens : Tensor, shape (batch, tokens, heads * head_dim)

    Returns
    -------
    Tensor, shape (batch, heads, tokens, head_dim)
    """
    split: Tensor = tokens.unflatten(-1, (heads, -1)).transpose(1, 2)
    return split


def joined_heads(tokens: Tensor) -> Tensor:
    """Undo ``heads_of``."""
    return tokens.transpose(1, 2).flatten(2)
