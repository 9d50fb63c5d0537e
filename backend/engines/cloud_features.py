"""What P3-SAM's encoder says of the points of a surface, computed once per mesh. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import get_ident
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.engines.model_networks import ModelNetworks, device_of
from backend.engines.point_feature_cache import feature_cache, geometry_digest, term_cache
from backend.engines.segmentation_memory import encode_bytes
from backend.meshes.mask_parts.surface_samples import SurfaceSamples, surface_samples
from backend.meshes.source_mesh import SourceMesh
from backend.models.checkpoints.checkpoint import Component
from backend.models.p3sam.network import P3Sam
from backend.models.sonata.blocks import SonataBlock
from backend.models.sonata.serialization import order_permutations
from backend.models.sonata.voxels import VoxelCloud, voxel_cloud
from backend.profiling.recorder import profile_stage
from backend.profiling.spans import SpanKind
from backend.runtime_settings import SettingName, value_of
from backend.settings import Settings
from backend.units import MB

Tell: TypeAlias = Callable[[float], None]

VOXEL_STREAM, PROMPT_STREAM = 1, 2
"""Numbers drawn for one purpose say nothing of those for another, whatever came from the cache."""


@dataclass(frozen=True)
class CloudFeatures:
    """Points of a surface with their features, in the memory of the host.

    Parameters
    ----------
    geometry : str
        Names the surface; see ``geometry_digest``.
    samples : SurfaceSamples
        The points, and the face of each.
    shifted : (n, 3) float
        The points as the mask heads take them: z from 0.
    rows : Tensor, shape (v, c) float32
        Features, one row per voxel.
    inverse : (n,) int64
        The row of each point.
    """

    geometry: str
    samples: SurfaceSamples
    shifted: NDArray[np.floating]
    rows: Tensor
    inverse: NDArray[np.int64]

    @property
    def size_bytes(self) -> int:
        """Memory of all of it."""
        arrays = (*vars(self.samples).values(), self.shifted, self.inverse)
        return int(self.rows.nbytes) + sum(int(array.nbytes) for array in arrays)

    def on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Give every point its features on a device.

        Returns
        -------
        Tensor, shape (n, c) float32
        Tensor, shape (n, 3) float32
            The shifted points.
        """
        inverse = torch.from_numpy(self.inverse).to(device)
        shifted = torch.from_numpy(self.shifted).to(device, torch.float32)
        return self.rows.to(device)[inverse], shifted


def features_for(
    mesh: SourceMesh,
    points: int,
    seed: int,
    networks: ModelNetworks,
    tell: Tell = lambda share: None,
) -> CloudFeatures:
    """Return the features of points of a surface, from the cache where they are there.

    Parameters
    ----------
    points : int
        How many points are drawn.
    seed : int
        Of the points, of which of them stand for their voxels, and of the orders of these.
    networks : ModelNetworks
        Of a model with a segmenter.
    tell : callable
        Told on a processor how much is done, from 0 to 1; what it raises is raised.

    Raises
    ------
    ModelTooLarge, ModelLoadFailed, OutOfMemory, GpuBusy
    """
    geometry = geometry_digest(mesh)
    known = kept_features(geometry, points, seed, networks)
    if known is not None:
        with profile_stage("encode_points", attributes={"from_cache": True}):
            return known
    with profile_stage("sample_surface"):
        samples = surface_samples(mesh.vertices, mesh.faces, points, seed)
        rng = np.random.default_rng([seed, VOXEL_STREAM])
        cloud = voxel_cloud(samples.points, samples.normals, rng)
    rows = _encoded(cloud, seed, networks, tell)
    found = CloudFeatures(geometry, samples, cloud.shifted, rows, cloud.inverse)
    limit_bytes = Settings.from_env().feature_cache_mb * MB
    feature_cache.put(_key(geometry, points, seed, networks), found, limit_bytes)
    return found


def kept_features(
    geometry: str, points: int, seed: int, networks: ModelNetworks
) -> CloudFeatures | None:
    """Return what ``features_for`` found of a surface, if it is kept still.

    Parameters
    ----------
    geometry : str
        Names the surface; see ``geometry_digest``.
    """
    known: CloudFeatures | None = feature_cache.get(_key(geometry, points, seed, networks))
    return known


def forget_features() -> None:
    """Let go of everything that is kept."""
    feature_cache.clear()
    term_cache.clear()


def _key(geometry: str, points: int, seed: int, networks: ModelNetworks) -> Hashable:
    """Name what features depend on; other weights in the place of these make others."""
    return geometry, points, seed, networks.files, networks.weights


@torch.inference_mode()
def _encoded(cloud: VoxelCloud, seed: int, networks: ModelNetworks, tell: Tell) -> Tensor:
    """Run the encoder; returns (v, c) float32 in the memory of the host."""
    component = Component.SEGMENTER
    from_cache: dict[str, Any] = {"from_cache": False}
    lease = networks.lease(component, encode_bytes(len(cloud.cells)))
    with profile_stage("encode_points", SpanKind.GPU, from_cache), lease as network:
        device = device_of(network)
        encoder = networks.hosted(component, network, "/features")
        levels = network.features.config.levels
        orders = order_permutations(torch.Generator().manual_seed(seed), levels)
        with _telling(network, device, tell):
            rows: Tensor = encoder(
                torch.from_numpy(cloud.features).to(device),
                torch.from_numpy(cloud.cells).to(device),
                orders,
            )
        return rows.to("cpu", torch.float32)


@contextmanager
def _telling(network: P3Sam, device: torch.device, tell: Tell) -> Iterator[None]:
    """Tell before each block how much of the encoder is done.

    Not on a GPU, where it takes less than a second, nor in a compiled network, which would have
    to be compiled anew for everyone that is told.
    """
    if device.type == "cuda" or value_of(SettingName.COMPILE_MODELS):
        yield
        return
    blocks = [module for module in network.modules() if isinstance(module, SonataBlock)]
    handles = [
        block.register_forward_pre_hook(
            partial(_tell_share, tell, get_ident(), number / len(blocks))
        )
        for number, block in enumerate(blocks)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _tell_share(tell: Tell, thread: int, share: float, *_: Any) -> None:
    """Tell, unless another thread runs the same network: its work is none of this one's."""
    if get_ident() == thread:
        tell(share)
