from __future__ import annotations

import torch

from backend.models.xpart import nearest_points as searching
from backend.models.xpart.nearest_points import nearest_points


def cloud(count, seed):
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(seed)) - 0.5


def by_hand(places, points):
    away = places.double()[..., None, :] - points.double()
    return away.square().sum(dim=-1).argmin(dim=-1)


def test_the_nearest_is_found():
    places, points = cloud(120, 1).view(2, 60, 3), cloud(500, 2)
    found = nearest_points(places, points)
    assert found.dtype == torch.int64
    assert torch.equal(found, by_hand(places, points))


def test_a_search_in_chunks_finds_the_same():
    places, points = cloud(50, 3), cloud(300, 4)
    in_chunks = [searching._nearest_of_all(part, points) for part in places.split(7)]
    assert torch.equal(torch.cat(in_chunks), nearest_points(places, points))


def test_points_far_from_the_origin_are_told_apart():
    """The product of matrices would lose what tells them apart."""
    points = 100 + 0.01 * cloud(200, 5)
    places = points[::3] + 1e-5
    assert torch.equal(searching._nearest_of_all(places, points), by_hand(places, points))


def test_a_point_is_nearest_to_itself():
    points = cloud(64, 6)
    assert torch.equal(nearest_points(points, points), torch.arange(64))
