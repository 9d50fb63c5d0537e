"""What one grid of Sonata does with its features. Imports torch."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from backend.models.attention import Attend
from backend.models.hunyuan3d.mixture_of_experts import Perceptron
from backend.models.sonata.config import NORM_EPSILON, SonataConfig
from backend.models.sonata.grid_pooling import GridPooling
from backend.models.sonata.neighbours import Neighbours
from backend.models.sonata.patch_attention import PatchAttention
from backend.models.sonata.pyramid import GridLevel
from backend.models.sonata.submanifold_convolution import SubmanifoldConvolution


class SonataBlock(nn.Module):
    """A convolution that tells where a point is, attention, and a perceptron; each is added.

    Source
    ------
    Wu et al., Point Transformer V3: Simpler, Faster, Stronger (2024).
    """

    def __init__(self, level: int, config: SonataConfig, attend: Attend) -> None:
        super().__init__()
        width, heads, patch = config.channels[level], config.heads[level], config.patches[level]
        self.convolution = SubmanifoldConvolution(width)
        self.position = nn.Linear(width, width)
        self.position_norm = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.attention_norm = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.attention = PatchAttention(width, heads, patch, attend)
        self.perceptron_norm = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.perceptron = Perceptron(width, config.mlp_ratio * width)

    def forward(self, features: Tensor, order: Tensor, neighbours: Neighbours) -> Tensor:
        """Return features of the same shape.

        Parameters
        ----------
        features : Tensor, shape (cells, width)
        order : Tensor, shape (cells,) int64
            The rows along a line.
        neighbours : Neighbours
        """
        position = self.position(self.convolution(features, neighbours))
        features = features + self.position_norm(position)
        attended = self.attention(self.attention_norm(features[order]))
        features = features.index_add(0, order, attended)
        changed: Tensor = features + self.perceptron(self.perceptron_norm(features))
        return changed


class SonataLevel(nn.Module):
    """The blocks of one grid, behind the way from the finer one."""

    def __init__(self, level: int, config: SonataConfig, attend: Attend) -> None:
        super().__init__()
        channels = config.channels
        self.pooling = GridPooling(channels[level - 1], channels[level]) if level else None
        self.blocks = nn.ModuleList(
            SonataBlock(level, config, attend) for _ in range(config.depths[level])
        )

    def forward(self, features: Tensor, grid: GridLevel) -> Tensor:
        """Return the features of the cells of this grid, (cells, width), from those before it."""
        if self.pooling is not None:
            features = self.pooling(features, cast("Tensor", grid.parents), len(grid.cells))
        for block, order in zip(self.blocks, grid.orders, strict=True):
            features = block(features, order, grid.neighbours)
        return features


class PointEmbedding(nn.Module):
    """What the first block is given."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_channels, width)
        self.norm = nn.LayerNorm(width, eps=NORM_EPSILON)

    def forward(self, features: Tensor) -> Tensor:
        """Turn (points, in_channels) into (points, width)."""
        return functional.gelu(self.norm(self.linear(features)))
