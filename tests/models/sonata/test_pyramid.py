from __future__ import annotations

import pytest
import torch

from backend.models.sonata.pyramid import grid_pyramid
from tests.models.sonata.sonata_golden import LEVELS, config, golden, permutations, pyramid


@pytest.mark.parametrize("level", range(LEVELS))
def test_recorded_grids_are_met_exactly(level):
    grid = pyramid()[level]
    assert torch.equal(grid.cells, golden()[f"mid.enc{level}.grid_coord"].long())
    if level:
        parents = golden()[f"mid.pooling_inverse_enc{level}_to_enc{level - 1}"]
        assert torch.equal(grid.parents, parents.long())
    orders = golden()[f"mid.enc{level}.serialized_order_shuffled"].long()
    assert len(grid.orders) == config().depths[level]
    for block, order in enumerate(grid.orders):
        assert torch.equal(order, orders[block % 4])


def test_blocks_with_the_same_line_share_it():
    orders = pyramid()[3].orders
    assert len(orders) == 5
    assert orders[4] is orders[0]


def test_a_lone_cell_is_one_at_every_level():
    levels = grid_pyramid(torch.zeros(1, 3).long(), permutations(), config())
    assert [len(grid.cells) for grid in levels] == [1] * LEVELS


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (torch.zeros(0, 3).long(), "without points"),
        (torch.tensor([[0, -1, 0]]), "negative"),
        (torch.tensor([[0, 0, 2**16 - 1]]), "17 bits"),
    ],
)
def test_grids_that_have_no_codes_are_refused(cells, reason):
    with pytest.raises(ValueError, match=reason):
        grid_pyramid(cells, permutations(), config())
