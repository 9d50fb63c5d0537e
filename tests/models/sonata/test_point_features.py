from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from backend.models.sonata.config import SONATA
from backend.models.sonata.point_features import LevelPerceptron, PointFeatures
from backend.models.sonata.voxels import CELL_SIZE, VoxelCloud, voxel_cloud
from tests.models.sonata import sonata_golden
from tests.models.sonata.sonata_golden import (
    LEVELS,
    cloud,
    config,
    features_of,
    golden,
    network,
    pyramid,
    random_points,
)

TOLERANCE = {"rtol": 1e-4, "atol": 5e-5}


@pytest.fixture(scope="module")
def levels():
    return network().sonata(torch.from_numpy(cloud().features), pyramid())


@pytest.mark.parametrize("level", range(LEVELS))
def test_recorded_features_of_each_level_are_met(levels, level):
    torch.testing.assert_close(levels[level], golden()[f"mid.enc{level}.feat"], **TOLERANCE)


def test_recorded_embedding_is_met():
    found = network().sonata.embedding(torch.from_numpy(cloud().features))
    torch.testing.assert_close(found, golden()["mid.embedding.feat"], **TOLERANCE)


def test_recorded_features_of_points_are_met():
    found = network()(
        torch.from_numpy(cloud().features),
        torch.from_numpy(cloud().cells),
        golden()["order_perms"],
    )
    of_points = found[torch.from_numpy(cloud().inverse)]
    torch.testing.assert_close(of_points, golden()["out.point_feat"], **TOLERANCE)


def test_levels_are_joined_as_if_side_by_side(levels):
    """The first layer is computed level by level; here it is computed as it is written."""
    joined = levels[-1]
    for level in reversed(range(LEVELS - 1)):
        joined = torch.cat([levels[level], joined[pyramid()[level + 1].parents]], dim=1)
    torch.testing.assert_close(joined, golden()["out.concat_feat"], **TOLERANCE)
    mlp = network().mlp
    wanted = mlp.third(functional.gelu(mlp.second(functional.gelu(mlp.first(joined)))))
    torch.testing.assert_close(mlp(levels, pyramid()), wanted, rtol=1e-5, atol=1e-5)


def test_the_perceptron_may_be_wider_inside(levels):
    torch.manual_seed(0)
    mlp = LevelPerceptron(replace(config(), hidden_channels=24, out_channels=12))
    mlp.requires_grad_(False)
    side_by_side = golden()["out.concat_feat"]
    wanted = mlp.third(functional.gelu(mlp.second(functional.gelu(mlp.first(side_by_side)))))
    torch.testing.assert_close(mlp(levels, pyramid()), wanted, rtol=1e-5, atol=1e-5)


def test_rows_are_split_without_a_difference(levels, monkeypatch):
    whole = network().mlp(levels, pyramid())
    monkeypatch.setattr("backend.models.sonata.point_features.ROWS_AT_ONCE", 100)
    torch.testing.assert_close(network().mlp(levels, pyramid()), whole, rtol=1e-5, atol=1e-6)


def test_the_order_of_cells_does_not_matter():
    voxels = voxel_cloud(*random_points(300), np.random.default_rng(0))
    shuffled = np.random.default_rng(1).permutation(len(voxels.cells))
    other = VoxelCloud(
        voxels.features[shuffled], voxels.cells[shuffled], voxels.inverse, voxels.shifted
    )
    torch.testing.assert_close(
        features_of(other), features_of(voxels)[shuffled], rtol=1e-5, atol=1e-5
    )


def test_the_order_of_points_does_not_matter():
    points, normals = random_points(400)
    points *= 8 * CELL_SIZE
    shuffled = np.random.default_rng(1).permutation(len(points))
    rng = np.random.default_rng(0)
    voxels = voxel_cloud(points, normals, rng)
    chosen = sonata_golden.rows_at(voxels.shifted[shuffled], voxels.features[:, :3])
    other = voxel_cloud(points[shuffled], normals[shuffled], rng, chosen)
    found = features_of(other)[other.inverse]
    torch.testing.assert_close(found, features_of(voxels)[voxels.inverse][shuffled])


def test_the_same_draws_give_the_same_bits():
    voxels = voxel_cloud(*random_points(300), np.random.default_rng(0))
    assert torch.equal(features_of(voxels), features_of(voxels))
    assert not torch.equal(features_of(voxels), features_of(voxels, seed=1))


@pytest.mark.parametrize("count", [1, 2, 64, 65, 200])
def test_a_line_of_points_has_features(count):
    points = np.zeros((count, 3))
    points[:, 0] = np.arange(count) * CELL_SIZE * 1.01
    voxels = voxel_cloud(points, np.tile([0.0, 0.0, 1.0], (count, 1)), np.random.default_rng(0))
    found = features_of(voxels)
    assert found.shape == (count, config().out_channels)
    assert found.isfinite().all()


def test_an_extent_with_more_cells_than_codes_can_count_is_refused():
    points, normals = random_points(20)
    voxels = voxel_cloud(points * 200, normals, np.random.default_rng(0))
    with pytest.raises(ValueError, match="17 bits"):
        features_of(voxels)


def test_the_full_size_has_the_published_count_of_parameters():
    with torch.device("meta"):
        built = PointFeatures(SONATA)
    assert count(built.sonata) == 108_461_328  # and a mask token of 48 that inference never uses
    assert count(built.mlp) == 1232 * 512 + 2 * 512 * 512 + 3 * 512


def test_no_cloud_is_waited_for_while_something_is_compiled():
    """Each has other sizes at every level, and would be compiled anew."""
    graphs = []

    def note(graph, examples):
        graphs.append(graph)
        return graph

    compiled = torch.compile(network(), backend=note)
    for count in (40, 90):
        voxels = voxel_cloud(*random_points(count), np.random.default_rng(0))
        given = torch.from_numpy(voxels.features), torch.from_numpy(voxels.cells)
        orders = golden()["order_perms"]
        with torch.no_grad():
            assert torch.equal(compiled(*given, orders), network()(*given, orders))
    assert not graphs


def test_nothing_but_the_pyramid_depends_on_data():
    """So that work can be counted on the meta device."""
    with torch.device("meta"):
        built = PointFeatures(config())
    found = built.mlp(
        built.sonata(torch.zeros(1398, 9, device="meta"), pyramid_on_meta()), pyramid_on_meta()
    )
    assert found.shape == (1398, 32)


def pyramid_on_meta():
    return torch.utils._pytree.tree_map_only(torch.Tensor, lambda one: one.to("meta"), pyramid())


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
