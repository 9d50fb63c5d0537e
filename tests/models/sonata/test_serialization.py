from __future__ import annotations

import pytest
import torch

from backend.models.sonata.config import ORDERS
from backend.models.sonata.serialization import MOST_BITS, bits_of, codes, order_permutations
from tests.models.sonata.sonata_golden import LEVELS, golden

HILBERT = ORDERS.index("hilbert")


def all_cells(side):
    return torch.cartesian_prod(*[torch.arange(side)] * 3)


@pytest.mark.parametrize("level", range(LEVELS))
def test_recorded_codes_and_orders_are_met_exactly(level):
    cells = golden()[f"mid.enc{level}.grid_coord"].long()
    bits = bits_of(int(cells.max()))
    drawn = golden()["order_perms"][level].tolist()
    found = torch.stack([codes(cells, order, bits) for order in drawn])
    assert torch.equal(found, golden()[f"mid.enc{level}.serialized_code_shuffled"])
    orders = golden()[f"mid.enc{level}.serialized_order_shuffled"].long()
    assert torch.equal(found.argsort(dim=1), orders)
    places = torch.arange(len(cells)).expand_as(orders)
    assert torch.equal(orders.argsort(dim=1).gather(1, orders), places)


@pytest.mark.parametrize("order", range(len(ORDERS)))
def test_codes_number_the_cells_of_a_cube(order):
    found = codes(all_cells(8), order, bits=3)
    assert torch.equal(found.sort().values, torch.arange(8**3))


def test_the_curve_of_hilbert_goes_from_neighbour_to_neighbour():
    cells = all_cells(16)
    along = cells[codes(cells, HILBERT, bits=4).argsort()]
    assert (along.diff(dim=0).abs().sum(dim=1) == 1).all()


def test_bits_are_interleaved_up_to_the_largest_cell():
    largest = 2**MOST_BITS - 2
    cells = torch.tensor([[largest, 0, 0], [0, largest, 0], [0, 0, largest], [1, 1, 1]])
    bits = sum(1 << 3 * bit for bit in range(1, MOST_BITS))
    assert codes(cells, 0, MOST_BITS).tolist() == [bits << 2, bits << 1, bits, 7]
    assert codes(cells, 1, MOST_BITS).tolist() == [bits << 1, bits << 2, bits, 7]


def test_bits_suffice_for_one_cell_more_than_there_is():
    assert [bits_of(largest) for largest in (0, 1, 2, 3, 6, 7)] == [1, 2, 2, 3, 3, 4]


def test_a_grid_that_is_too_fine_is_refused():
    assert bits_of(2**16 - 2) == 16
    with pytest.raises(ValueError, match="17 bits"):
        bits_of(2**16 - 1)


def test_permutations_follow_the_generator():
    first, again, other = (
        order_permutations(torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert first.shape == (5, 4)
    assert torch.equal(first.sort(dim=1).values, torch.arange(4).expand(5, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
