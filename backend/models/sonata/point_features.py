"""Sonata and the perceptron that joins its levels: features per point. Imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.models.attention import Attend, plain_attention
from backend.models.sonata.blocks import PointEmbedding, SonataLevel
from backend.models.sonata.config import SonataConfig
from backend.models.sonata.pyramid import GridLevel, grid_pyramid

# Rows that go through the last layers at once: what lies between them stays in the cache.
ROWS_AT_ONCE = 8192


class Sonata(nn.Module):
    """An encoder of point clouds that has been trained without labels.

    Source
    ------
    Wu et al., Sonata: Self-Supervised Learning of Reliable Point Representations (2025).
    """

    def __init__(self, config: SonataConfig, attend: Attend = plain_attention) -> None:
        super().__init__()
        self.embedding = PointEmbedding(config.in_channels, config.channels[0])
        self.levels = nn.ModuleList(
            SonataLevel(level, config, attend) for level in range(config.levels)
        )

    def forward(self, cloud_features: Tensor, pyramid: Sequence[GridLevel]) -> list[Tensor]:
        """Return the features of every level.

        Parameters
        ----------
        cloud_features : Tensor, shape (cells, in_channels) float32
        pyramid : sequence of GridLevel

        Returns
        -------
        list of Tensor
            For each level (its cells, its width).
        """
        features = self.embedding(cloud_features)
        found = []
        for level, grid in zip(self.levels, pyramid, strict=True):
            features = level(features, grid)
            found.append(features)
        return found


class LevelPerceptron(nn.Module):
    """Three linear layers over the features of a point in all levels, side by side.

    The first layer is a sum over levels. Each part of it is computed for the cells of its level
    rather than for every point, which is the same and, of the full size, an eighth of the work.
    """

    def __init__(self, config: SonataConfig) -> None:
        super().__init__()
        width = config.joined_channels
        self.channels = config.channels
        self.first = nn.Linear(sum(config.channels), width)
        self.second = nn.Linear(width, width)
        self.third = nn.Linear(width, config.out_channels)

    def forward(self, levels: Sequence[Tensor], pyramid: Sequence[GridLevel]) -> Tensor:
        """Return features of the finest cells, (cells, out_channels), from those of all levels."""
        hidden = self._first_of(levels, pyramid)
        is_as_wide = self.third.out_features == hidden.shape[1]
        joined = hidden if is_as_wide else hidden.new_zeros(len(hidden), self.third.out_features)
        for start in range(0, len(hidden), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            changed = self.second(functional.gelu(hidden[rows]))
            joined[rows].copy_(self.third(functional.gelu(changed)))
        return joined

    def _first_of(self, levels: Sequence[Tensor], pyramid: Sequence[GridLevel]) -> Tensor:
        weights = self.first.weight.split(self.channels, dim=1)
        joined = functional.linear(levels[-1], weights[-1], self.first.bias)
        for level in reversed(range(len(levels) - 1)):
            above = joined[cast("Tensor", pyramid[level + 1].parents)]
            joined = above.addmm_(levels[level], weights[level].T)
        return joined


class PointFeatures(nn.Module):
    """Features for each occupied cell of a cloud, of its surroundings near and far.

    Parameters
    ----------
    config : SonataConfig
    attend : Attend, optional

    Notes
    -----
    Compilers leave it alone: every cloud has other sizes at every level, so that each would be
    compiled anew, for longer than it takes.
    """

    def __init__(self, config: SonataConfig, attend: Attend = plain_attention) -> None:
        super().__init__()
        self.config = config
        self.sonata = Sonata(config, attend)
        self.mlp = LevelPerceptron(config)

    def forward(self, cloud_features: Tensor, cells: Tensor, permutations: Tensor) -> Tensor:
        """Return the features of each cell.

        Parameters
        ----------
        cloud_features : Tensor, shape (cells, in_channels) float32
            Of a ``VoxelCloud``.
        cells : Tensor, shape (cells, 3) int64
        permutations : Tensor, shape (levels, 4) int64
            From ``order_permutations``, on the CPU.

        Returns
        -------
        Tensor, shape (cells, out_channels)
            Features of the points are ``[inverse]`` of it.

        Raises
        ------
        ValueError
            There is no cell, one is negative, or the grid is too fine for the extent of the cloud.
        """
        run = self._joined
        if torch.compiler.is_compiling():
            run = torch.compiler.disable(run)  # not as a decorator: it takes seconds to import
        return run(cloud_features, cells, permutations)

    def _joined(self, cloud_features: Tensor, cells: Tensor, permutations: Tensor) -> Tensor:
        pyramid = grid_pyramid(cells, permutations, self.config)
        joined: Tensor = self.mlp(self.sonata(cloud_features, pyramid), pyramid)
        return joined
