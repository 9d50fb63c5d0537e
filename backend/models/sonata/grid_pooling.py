"""From one grid to one half as fine. Imports torch."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from backend.models.sonata.config import NORM_EPSILON


class GridPooling(nn.Module):
    """The largest value, channel by channel, of all cells that fall into one."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.projection = nn.Linear(in_channels, out_channels)
        self.norm = nn.LayerNorm(out_channels, eps=NORM_EPSILON)

    def forward(self, features: Tensor, parents: Tensor, count: int) -> Tensor:
        """Return the features of the coarser cells.

        Parameters
        ----------
        features : Tensor, shape (finer cells, in_channels)
        parents : Tensor, shape (finer cells,) int64
        count : int
            Coarser cells; each has a finer one.

        Returns
        -------
        Tensor, shape (count, out_channels)
        """
        projected = self.projection(features)
        index = parents[:, None].expand_as(projected)
        largest = projected.new_zeros(count, projected.shape[1])
        largest.scatter_reduce_(0, index, projected, "amax", include_self=False)
        return functional.gelu(self.norm(largest))
