from __future__ import annotations

import pytest
import torch

from backend.models.p3sam.farthest_points import chosen_at_once, farthest_points
from tests.models.p3sam.p3sam_golden import SEGMENTATIONS, segmentation


@pytest.fixture(scope="module")
def cloud():
    points = torch.randn(3000, 3, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.normalize(points, dim=1)


@pytest.mark.parametrize("name", SEGMENTATIONS)
def test_prompts_are_the_published_ones(name):
    given = segmentation(name)
    start, count = int(given["in.fps_idx"][0]), len(given["in.fps_idx"])
    for points in (given["in.points_normalised"], given["in.points_normalised"].float()):
        assert torch.equal(farthest_points(points, count, start), given["in.fps_idx"])


def test_looking_at_near_blocks_only_chooses_the_same(cloud):
    """The two ways, on a smooth cloud and on one where many points are equally far."""
    for points in (cloud, (4 * cloud).round()):
        by_blocks = farthest_points(points, 300, 5)
        assert torch.equal(by_blocks, chosen_at_once(points[None].double(), 300, 5)[0])


def test_each_point_is_the_farthest_from_those_before(cloud):
    chosen = cloud[farthest_points(cloud, 50, 17)]
    for number in range(1, 50):
        away = torch.cdist(cloud, chosen[:number]).amin(dim=1)
        own = torch.cdist(chosen[number : number + 1], chosen[:number]).amin()
        assert own >= away.max() - 1e-6


def test_several_clouds_are_independent(cloud):
    pair = torch.stack([cloud, cloud.flip(0)])
    together = farthest_points(pair, 40)
    assert together.shape == (2, 40)
    assert torch.equal(together[1], farthest_points(pair[1], 40))
    assert torch.equal(together, chosen_at_once(pair.double(), 40, 0))


def test_places_that_are_all_taken_come_again():
    assert farthest_points(torch.zeros(4, 3), 3, 2).tolist() == [2, 0, 0]
    assert farthest_points(torch.ones(1, 3), 2).tolist() == [0, 0]


@pytest.mark.parametrize(("count", "start"), [(0, 0), (1, 4), (1, -1)])
def test_what_cannot_be_is_refused(count, start):
    with pytest.raises(ValueError, match="4 points"):
        farthest_points(torch.zeros(4, 3), count, start)
