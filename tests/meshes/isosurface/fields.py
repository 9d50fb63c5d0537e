"""Fields on grids, above 0 inside, made here."""

from __future__ import annotations

import torch
from torch import Tensor


def places(cells: int, half_side: float = 1.0) -> tuple[Tensor, ...]:
    along = torch.linspace(-half_side, half_side, cells + 1)
    return torch.meshgrid(along, along, along, indexing="ij")


def ball(cells: int = 24, radius: float = 0.7, centre=(0.0, 0.0, 0.0)) -> Tensor:
    return radius - torch.stack(
        [axis - at for axis, at in zip(places(cells), centre, strict=True)]
    ).norm(dim=0)


def rough_ball(cells: int = 40) -> Tensor:
    x, y, z = places(cells)
    return ball(cells) + 0.08 * torch.sin(9 * x) * torch.sin(8 * y + 1) * torch.sin(7 * z)
