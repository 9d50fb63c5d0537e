"""Points far from each other, for any device. Imports torch."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.models.p3sam.point_blocks import PointBlocks


@torch.no_grad()
def farthest_points(points: Tensor, count: int, start: int = 0) -> Tensor:
    """Choose points one after the other, each the farthest from all that were chosen before.

    Distances are computed in float64, and every device chooses the same points. The host never
    waits for a GPU. Of points equally far the first one is taken; once every place is taken, the
    first point comes again.

    Parameters
    ----------
    points : Tensor, shape (n, 3) or (k, n, 3), floating
        One cloud, or several that have nothing to do with each other.
    count : int
        How many to choose, at least 1.
    start : int
        Index of the first one.

    Returns
    -------
    Tensor, shape (count,) or (k, count) int64
        Indices, on the device of ``points``, in the order in which they were chosen.

    Raises
    ------
    ValueError
        There are no points, or ``count`` or ``start`` is out of range.

    Source
    ------
    Gonzalez, Clustering to Minimize the Maximum Intercluster Distance (1985).
    """
    length = points.shape[-2]
    if not 0 <= start < length or count < 1:
        raise ValueError(f"{count} from number {start} on, of {length} points")
    clouds = points.detach().reshape(-1, length, 3).to(torch.float64)
    if clouds.device.type == "cpu":
        found = [_chosen_by_blocks(cloud.numpy(), count, start) for cloud in clouds]
        chosen = torch.from_numpy(np.stack(found))
    else:
        chosen = chosen_at_once(clouds, count, start)
    return chosen.reshape(*points.shape[:-2], count)


def chosen_at_once(clouds: Tensor, count: int, start: int) -> Tensor:
    """Look at all points for each that is chosen: what a GPU does well.

    Parameters
    ----------
    clouds : Tensor, shape (k, n, 3) float64

    Returns
    -------
    Tensor, shape (k, count) int64
    """
    axes = clouds.permute(2, 0, 1).contiguous()
    chosen = torch.full((count, len(clouds)), start, dtype=torch.int64, device=clouds.device)
    nearest = torch.full_like(axes[0], torch.inf)
    squared, added = torch.zeros_like(nearest), torch.zeros_like(nearest)
    for number in range(1, count):
        place = axes.gather(2, chosen[number - 1].expand(len(axes), -1)[..., None])
        torch.sub(axes[0], place[0], out=squared)
        squared.mul_(squared)
        for axis in (1, 2):  # not multiplied and added in one step, which rounds differently
            torch.sub(axes[axis], place[axis], out=added)
            squared.add_(added.mul_(added))
        torch.minimum(nearest, squared, out=nearest)
        torch.argmax(nearest, dim=1, out=chosen[number])
    return chosen.T


def _chosen_by_blocks(points: NDArray[np.float64], count: int, start: int) -> NDArray[np.int64]:
    """Look only at blocks of points that the last one chosen can be nearest to."""
    blocks = PointBlocks(points)
    chosen = np.full(count, start, dtype=np.int64)
    for number in range(1, count):
        chosen[number] = blocks.farthest_after(points[chosen[number - 1]])
    return chosen
