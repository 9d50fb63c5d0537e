from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from backend.models.hunyuan3d.near_surface import dilated, near_surface, refined_corners


def test_only_asked_corners_beside_a_change_of_sign_or_near_to_0_are_marked():
    values = torch.full((5, 5, 5), -3.0)
    values[2, 2, 2] = 2.0
    values[0, 0, 0] = -0.9
    values[2, 2, 3] = torch.nan  # a neighbour that was not asked
    marked = near_surface(values)
    wanted = {(2, 2, 2), (1, 2, 2), (3, 2, 2), (2, 1, 2), (2, 3, 2), (2, 2, 1), (0, 0, 0)}
    assert {tuple(corner) for corner in marked.nonzero().tolist()} == wanted


def test_0_differs_from_both_sides():
    values = torch.full((3, 3, 3), 2.0)
    values[1, 1, 1] = 0.0
    assert int(near_surface(values).sum()) == 7


@pytest.mark.parametrize(("level", "changes_at"), [(0.0, (1, 2)), (4.0, (2, 3)), (-4.0, (0, 1))])
def test_the_surface_lies_where_the_field_has_the_level(level, changes_at):
    steps = torch.tensor([-6.0, -2.0, 2.0, 6.0])
    marked = near_surface(steps.view(4, 1, 1).expand(4, 3, 3).contiguous(), level)
    assert tuple(marked[:, 1, 1].nonzero().flatten().tolist()) == changes_at


def test_marks_grow_by_one_corner_into_every_direction():
    marked = torch.rand(9, 8, 7, generator=torch.Generator().manual_seed(0)) < 0.02
    pooled = functional.max_pool3d(marked[None, None].float(), 3, stride=1, padding=1)
    assert torch.equal(dilated(marked), pooled[0, 0] > 0)


@pytest.mark.parametrize(("is_last", "reach"), [(False, 3), (True, 2)])
def test_a_mark_is_carried_to_its_place_and_widened(is_last, reach):
    marked = torch.zeros(6, 6, 6, dtype=torch.bool)
    marked[2, 3, 1] = True
    finer = refined_corners(marked, 11, is_last)
    assert finer.shape == (12, 12, 12)
    found = finer.nonzero()
    place = torch.tensor([4, 6, 2])
    assert (found.amin(0) == (place - reach).clamp(min=0)).all()
    assert (found.amax(0) == place + reach).all()
