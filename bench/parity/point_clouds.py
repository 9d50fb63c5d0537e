"""Checks recorded encoders of points: the cells, the lines through them, and the features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.models.sonata import sonata_weights
from backend.models.sonata.config import SonataConfig
from backend.models.sonata.point_features import PointFeatures
from backend.models.sonata.pyramid import GridLevel, grid_pyramid
from backend.models.sonata.serialization import bits_of, codes
from backend.models.sonata.voxels import VoxelCloud, voxel_cloud
from bench.parity.building import built
from bench.parity.comparison import Comparison, failed
from bench.parity.golden_folder import GoldenFile
from bench.parity.recorded_lines import Tolerance, all_recorded
from bench.parity.watching import Watch

TOLERANCE = Tolerance(5e-5, 1e-4)
_STEM = "weights.sonata.embedding.stem.linear.weight"


def is_point_features(file: GoldenFile) -> bool:
    """Whether a file holds an encoder of points, alone."""
    return file.has(_STEM) and not file.has("weights.seg_mlp_1.0.weight")


def point_features(params: Mapping[str, Any], weights: dict[str, Tensor]) -> PointFeatures:
    """Build an encoder of points as an engine does."""
    widths = {"feat_dim": len(weights["mlp.4.bias"]), "feat_hidden": len(weights["mlp.0.bias"])}
    config = SonataConfig.from_upstream({**params, **widths})
    return built(PointFeatures, config, sonata_weights.fold(weights, config))


@torch.no_grad()
def point_feature_comparisons(file: GoldenFile) -> Iterator[Comparison]:
    """Compare the way of a cloud through the encoder."""
    network = point_features(file.noted["config"], file.weights("weights."))
    cloud = _cloud(file)
    if cloud is None:
        yield failed(f"{file.name} transform", "no points were recorded")
        return
    cells, inverse = torch.from_numpy(cloud.cells), torch.from_numpy(cloud.inverse)
    rows, permutations = torch.from_numpy(cloud.features), file.tensors["order_perms"]
    sonata = network.sonata
    with Watch([sonata.embedding, *sonata.levels]) as seen, Watch([network.mlp]) as last:
        network(rows, cells, permutations)
    embedded, *levels = seen
    pyramid = grid_pyramid(cells, permutations, network.config)
    made = {
        **_transformed(cloud),
        "mid.embedding.feat": embedded,
        "out.concat_feat": _joined(levels, pyramid),
        "out.point_feat": last[0][inverse],
    }
    coordinates = rows[:, :3]
    for number, (level, features) in enumerate(zip(pyramid, levels, strict=True)):
        if level.parents is not None:
            made[f"mid.pooling_inverse_enc{number}_to_enc{number - 1}"] = level.parents
            coordinates = _means(coordinates, level.parents)
        made |= _of_level(number, level, features, coordinates, permutations[number])
    yield from all_recorded(file, made, TOLERANCE)
    yield from _used_orders(file, pyramid)


def _cloud(file: GoldenFile) -> VoxelCloud | None:
    """Put the recorded points into cells, and pick the recorded one of each."""
    given = next((file.tensors[name] for name in _POINTS if file.has(name)), None)
    if given is None:
        return None
    points = given.double().numpy()
    normals = file.tensors["in.normals"].double().numpy()
    recorded = file.tensors.get("transform.feat")
    return recorded_cloud(points, normals, None if recorded is None else recorded.numpy())


def recorded_cloud(
    points: NDArray[np.float64], normals: NDArray[np.float64], recorded: NDArray[np.float32] | None
) -> VoxelCloud:
    """Put points into cells, and pick of each cell the point whose features were recorded.

    Raises
    ------
    ValueError
        The cells are not as many as recorded, or the points that were given are changed.
    """
    untouched = points.copy()
    cloud = voxel_cloud(points, normals, np.random.default_rng(0))
    if recorded is not None:
        chosen = _recorded_rows(cloud, normals, recorded)
        cloud = voxel_cloud(points, normals, np.random.default_rng(0), chosen)
    if not np.array_equal(points, untouched):
        raise ValueError("the points that were given have been changed")
    return cloud


_POINTS = ("in.points_f64", "in.points")


def _recorded_rows(
    cloud: VoxelCloud, normals: NDArray[np.float64], recorded: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Find which point of each cell was picked: the one with the recorded position."""
    rows = np.concatenate([cloud.shifted, normals], axis=1).astype(np.float32)
    wanted = recorded[:, [0, 1, 2, 6, 7, 8]]
    if len(wanted) != len(cloud.cells):
        raise ValueError(f"{len(wanted)} cells were recorded, and {len(cloud.cells)} are found")
    apart = np.abs(rows - wanted[cloud.inverse]).max(axis=1)
    order = np.lexsort((apart, cloud.inverse))
    return order[np.searchsorted(cloud.inverse[order], np.arange(len(wanted)))]


def _transformed(cloud: VoxelCloud) -> dict[str, Tensor]:
    features = torch.from_numpy(cloud.features)
    return {
        "transform.feat": features,
        "transform.coord": features[:, :3],
        "transform.color": features[:, 3:6],
        "transform.grid_coord": torch.from_numpy(cloud.cells),
        "transform.inverse": torch.from_numpy(cloud.inverse),
        "transform.offset": torch.tensor([len(features)]),
    }


def _of_level(
    number: int, level: GridLevel, features: Tensor, coordinates: Tensor, lines: Tensor
) -> dict[str, Tensor]:
    bits = bits_of(int(level.cells.max()))
    all_codes = torch.stack([codes(level.cells, line, bits) for line in lines.tolist()])
    orders = all_codes.argsort(1)
    return {
        f"mid.enc{number}.feat": features,
        f"mid.enc{number}.coord": coordinates,
        f"mid.enc{number}.grid_coord": level.cells,
        f"mid.enc{number}.serialized_code_shuffled": all_codes,
        f"mid.enc{number}.serialized_order_shuffled": orders,
        f"mid.enc{number}.serialized_inverse_shuffled": orders.argsort(1),
    }


def _used_orders(file: GoldenFile, pyramid: tuple[GridLevel, ...]) -> Iterator[Comparison]:
    """Compare the orders that the blocks take."""
    for number, level in enumerate(pyramid):
        name = f"mid.enc{number}.serialized_order_shuffled"
        if not file.has(name):
            continue
        expected = file.tensors[name].long()
        differing = sum(
            int((order != expected[block % len(expected)]).sum())
            for block, order in enumerate(level.orders)
        )
        yield Comparison(f"{file.name} {name}, as blocks take them", float(differing), 0.0)


def _joined(levels: list[Tensor], pyramid: tuple[GridLevel, ...]) -> Tensor:
    """Lay the features of all levels beside each other, for the finest cells."""
    features = levels[-1]
    for number in reversed(range(len(levels) - 1)):
        parents = cast("Tensor", pyramid[number + 1].parents)
        features = torch.cat([levels[number], features[parents]], dim=1)
    return features


def _means(rows: Tensor, parents: Tensor) -> Tensor:
    count = int(parents.max()) + 1
    sums = rows.new_zeros(count, rows.shape[1]).index_add(0, parents, rows)
    return sums / torch.bincount(parents)[:, None]
