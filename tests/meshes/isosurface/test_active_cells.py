from __future__ import annotations

import pytest
import torch

from backend.meshes.isosurface.active_cells import Grid, active_cells
from tests.meshes.isosurface.fields import rough_ball


def plain_cells(values, level):
    """Cells that the surface passes and their patterns, one by one."""
    found = {}
    for cell in torch.cartesian_prod(*(torch.arange(side - 1) for side in values.shape)).tolist():
        x, y, z = cell
        corners = values[x : x + 2, y : y + 2, z : z + 2].reshape(-1)
        pattern = sum(1 << bit for bit in range(8) if corners[bit] > level)
        if pattern not in (0, 255) and not corners.isnan().any():
            found[x, y, z] = pattern
    return found


@pytest.mark.parametrize("slab_corners", [1, 200, 1 << 20])
@pytest.mark.parametrize("unknown_share", [0.0, 0.1])
def test_each_cell_is_found_once_whatever_the_slabs(slab_corners, unknown_share):
    source = torch.Generator().manual_seed(3)
    values = torch.randn((6, 4, 9), generator=source)
    values[torch.rand(values.shape, generator=source) < unknown_share] = torch.nan
    grid = Grid(values, 0.2)
    cells = active_cells(grid, closed=False, slab_corners=slab_corners)
    places = zip(*(place.tolist() for place in grid.places(cells.corners)), strict=True)
    found = dict(zip(places, cells.patterns.tolist(), strict=True))
    assert found == plain_cells(values, 0.2)
    assert len(found) == len(cells)


def test_places_count_from_the_first_corner_that_has_a_value():
    grid = Grid(torch.zeros(2, 3, 4), 0.0)
    x, y, z = (place.reshape(grid.shape) for place in grid.places(torch.arange(4 * 5 * 6)))
    assert x[:, 0, 0].tolist() == [-1, 0, 1, 2]
    assert y[2, :, 3].tolist() == [-1, 0, 1, 2, 3]
    assert z[3, 4].tolist() == [-1, 0, 1, 2, 3, 4]


def test_with_the_rim_a_body_that_fills_the_grid_has_a_surface():
    grid = Grid(torch.ones(3, 3, 3), 0.0)
    assert len(active_cells(grid, closed=True)) == 4**3 - 2**3
    assert not len(active_cells(grid, closed=False))


def test_the_order_is_that_of_the_grid():
    cells = active_cells(Grid(rough_ball(20), 0.0), closed=True, slab_corners=1500)
    assert bool((cells.corners.diff() > 0).all())
