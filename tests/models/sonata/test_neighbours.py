from __future__ import annotations

import pytest
import torch

from backend.models.sonata.neighbours import cell_keys, cells_of, find_neighbours
from tests.models.sonata.sonata_golden import random_cells


def test_pairs_are_those_of_cells_that_touch():
    cells = random_cells()
    apart = cells[None] - cells[:, None]  # what is added to the row to come to the other
    step = ((apart + 1) * torch.tensor([9, 3, 1])).sum(dim=-1)
    step[(apart.abs() > 1).any(dim=-1)] = -1
    found = find_neighbours(cells)
    for number, (rows, others) in enumerate(zip(found.rows, found.others, strict=True)):
        wanted = {tuple(pair) for pair in (step == 14 + number).nonzero().tolist()}
        pairs = list(zip(rows.tolist(), others.tolist(), strict=True))
        assert len(pairs) == len(set(pairs))
        assert set(pairs) == wanted


def test_no_cell_is_twice_on_one_side():
    found = find_neighbours(random_cells())
    for rows in found.rows + found.others:
        assert len(rows) == len(rows.unique())


def test_a_lone_cell_has_no_neighbours():
    assert all(len(rows) == 0 for rows in find_neighbours(torch.zeros(1, 3).long()).rows)


END = 2**16 - 2


@pytest.mark.parametrize(
    ("cells", "pairs"),
    [
        ([[0, 0, END], [0, 1, 0]], 0),
        ([[0, END, END], [1, 0, 0]], 0),
        ([[0, END, 3], [1, 0, 3]], 0),
        ([[END, END, END], [END, END, END - 1]], 1),
    ],
)
def test_cells_at_the_end_of_an_axis_do_not_touch_those_at_its_beginning(cells, pairs):
    found = find_neighbours(torch.tensor(cells))
    assert sum(len(rows) for rows in found.rows) == pairs


def test_keys_are_undone_and_sort_as_cells():
    cells = torch.unique(random_cells(), dim=0)
    assert torch.equal(cells_of(cell_keys(cells)), cells)
    assert (cell_keys(cells).diff() > 0).all()
