"""Turns the description of a picture into tokens to look at. Imports torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from backend.models.hunyuan3d_paint.paint_config import DINO_TOKENS_PER_PATCH


class DinoTokens(nn.Module):
    """Several tokens for each patch of a picture that DINOv2 has described.

    Parameters
    ----------
    in_width : int
        Channels of the description.
    width : int
        Channels of a token.
    """

    def __init__(self, in_width: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(in_width, DINO_TOKENS_PER_PATCH * width)
        self.norm = nn.LayerNorm(width)

    def forward(self, described: Tensor) -> Tensor:
        """Return the tokens.

        Parameters
        ----------
        described : Tensor, shape (1, patches, in_width)
            The last hidden state, class token first.

        Returns
        -------
        Tensor, shape (1, 4 * patches, width)
        """
        each = self.proj(described).unflatten(-1, (DINO_TOKENS_PER_PATCH, -1))
        tokens: Tensor = self.norm(each)
        return tokens.flatten(1, 2)

    def blank(self) -> Tensor:
        """Return the tokens of one patch of zeros.

        All patches of an empty description have the same ones. To look at each of them a number
        of times gives what looking at them once does: the softmax does not change.

        Returns
        -------
        Tensor, shape (1, 4, width)
        """
        tokens: Tensor = self(torch.zeros_like(self.proj.weight[:1])[None])
        return tokens
