"""Convolution over the occupied cells of a grid, from occupied cells only. Imports torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from backend.models.sonata.neighbours import MIDDLE, Neighbours

STEPS = 2 * MIDDLE + 1


class SubmanifoldConvolution(nn.Module):
    """A convolution with 3 x 3 x 3 weights whose output has the cells of its input.

    Source
    ------
    Graham, Engelcke, van der Maaten: 3D Semantic Segmentation with Submanifold Sparse
    Convolutional Networks (2018).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width, STEPS, width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, features: Tensor, neighbours: Neighbours) -> Tensor:
        """Return features of the same shape.

        Parameters
        ----------
        features : Tensor, shape (cells, width)
        neighbours : Neighbours

        Notes
        -----
        Work grows with the pairs there are, about 5 to 14 per cell on surfaces, not with 27. A
        temporary tensor is never larger than the features. No cell gets two sums at once, so
        that results are the same from run to run.
        """
        by_step = self.weight.unbind(1)
        total = torch.addmm(self.bias, features, by_step[MIDDLE].T)
        pairs = zip(neighbours.rows, neighbours.others, strict=True)
        for number, (rows, others) in enumerate(pairs, start=1):
            total.index_add_(0, rows, features[others] @ by_step[MIDDLE + number].T)
            total.index_add_(0, others, features[rows] @ by_step[MIDDLE - number].T)
        return total
