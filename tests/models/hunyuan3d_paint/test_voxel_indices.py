from __future__ import annotations

import pytest
import torch

from backend.models.hunyuan3d_paint.voxel_indices import is_near, level_voxels, voxel_indices
from tests.models.hunyuan3d_paint import paint_golden


def test_voxels_of_all_levels_are_those_of_the_original():
    given = paint_golden.tensors()
    for found in level_voxels(given["in.posmap"][0], 16, 4):
        assert torch.equal(found[None], given[f"vox21.{len(found)}"])


def test_background_does_not_count_and_cells_almost_without_object_lie_nowhere():
    positions = torch.ones(1, 3, 8, 8)
    positions[0, :, :4, :4] = 0.5
    positions[0, :, 0, 4] = 0.25  # one pixel of sixteen is just enough
    found = voxel_indices(positions, 2, 9)
    assert found.tolist() == [[4, 4, 4], [2, 2, 2], [0, 0, 0], [0, 0, 0]]
    assert voxel_indices(positions, 2, 9, least_pixels=2)[1].tolist() == [0, 0, 0]


@pytest.mark.parametrize("channel", range(3))
def test_a_pixel_with_any_channel_at_one_is_background(channel):
    positions = torch.full((1, 3, 4, 4), 0.5)
    positions[0, channel, :, 2:] = 1
    assert voxel_indices(positions, 1, 9).tolist() == [[4, 4, 4]]


def test_tokens_are_near_within_the_diagonal_of_a_cell():
    positions = torch.zeros(2, 3, 8, 8)
    positions[1] = 0.4  # 0.69 away, along all axes
    assert is_near(positions, 2)[0, 1].all()  # up to 0.865
    assert not is_near(positions, 4, least_pixels=1)[0, 1].any()  # up to 0.43
    assert is_near(positions, 4, least_pixels=1)[1, 1].all()
