"""The golden tensors of Sonata, the network they belong to, and clouds to try it with."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from backend.models.sonata.config import SonataConfig
from backend.models.sonata.point_features import PointFeatures
from backend.models.sonata.pyramid import grid_pyramid
from backend.models.sonata.serialization import order_permutations
from backend.models.sonata.sonata_weights import fold
from backend.models.sonata.voxels import voxel_cloud
from tests.models import golden_files

FOLDER = golden_files.SHAPE.parent / "part"
FILE = FOLDER / "sonata_tiny.safetensors"
LEVELS = 5


@cache
def golden():
    return load_file(FILE)


@cache
def params():
    with safe_open(FILE, "pt") as file:
        return json.loads(file.metadata()["config"])


@cache
def config():
    return SonataConfig.from_upstream(params(), len(golden()["weights.mlp.4.bias"]))


def published():
    return {
        key.removeprefix("weights."): tensor
        for key, tensor in golden().items()
        if key.startswith("weights.")
    }


@cache
def network():
    """Build as an engine does: on the meta device, then with weights put in."""
    with torch.device("meta"):
        built = PointFeatures(config())
    built.load_state_dict(fold(published(), config()), strict=True, assign=True)
    return built.eval().requires_grad_(False)


@cache
def cloud():
    """Voxels with the points that were picked when the tensors were recorded."""
    points, normals = (golden()[f"in.{name}"].numpy() for name in ("points_f64", "normals"))
    shifted = voxel_cloud(points, normals, np.random.default_rng(0)).shifted
    chosen = rows_at(shifted, golden()["transform.coord"].numpy())
    return voxel_cloud(points, normals, np.random.default_rng(0), chosen)


def rows_at(points, positions):
    """Return which points lie at the positions, to float32."""
    row_of = {point.tobytes(): row for row, point in enumerate(points.astype(np.float32))}
    return np.array([row_of[position.tobytes()] for position in positions])


@cache
def pyramid():
    return grid_pyramid(torch.from_numpy(cloud().cells), golden()["order_perms"], config())


def permutations(seed=0):
    return order_permutations(torch.Generator().manual_seed(seed), LEVELS)


def random_points(count, seed=0):
    """Return points in a cube of side 2, and unit normals."""
    rng = np.random.default_rng(seed)
    normals = rng.normal(size=(count, 3))
    return rng.uniform(-1, 1, (count, 3)), normals / np.linalg.norm(normals, axis=1)[:, None]


def random_cells(count=200, side=7, seed=0):
    """Return different cells of a cube."""
    drawn = torch.randperm(side**3, generator=torch.Generator().manual_seed(seed))[:count]
    return torch.cartesian_prod(*[torch.arange(side)] * 3)[drawn]


def features_of(voxels, seed=0):
    return network()(
        torch.from_numpy(voxels.features), torch.from_numpy(voxels.cells), permutations(seed)
    )
