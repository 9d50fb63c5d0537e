"""What the denoiser of X-Part is told of an object and its parts. Imports torch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from backend.engines.hosted_model import HostedModel
from backend.engines.model_networks import ModelNetworks, device_of
from backend.engines.part_memory import encode_bytes, surfaces_per_call
from backend.engines.part_points import PartPoints
from backend.engines.part_room import room_beside
from backend.engines.point_feature_cache import feature_cache
from backend.engines.segmentation_memory import encode_bytes as feature_bytes
from backend.models.checkpoints.checkpoint import Component
from backend.models.sonata.serialization import order_permutations
from backend.models.sonata.voxels import VoxelCloud, voxel_cloud
from backend.models.xpart.nearest_points import nearest_points
from backend.models.xpart.part_conditioner import (
    PartConditioner,
    PartConditionerConfig,
    joined_context,
)
from backend.models.xpart.point_set_encoder import chosen_points, surface_order
from backend.profiling.recorder import profile_stage
from backend.profiling.spans import SpanKind
from backend.settings import Settings
from backend.units import MB

SHARE_OF_ROOM = 0.5
VOXEL_STREAM = 1
"""Numbers drawn for one purpose say nothing of those for another."""
MOST_SEED = 2**63


@dataclass(frozen=True)
class PartContexts:
    """Tokens in the memory of the host.

    Parameters
    ----------
    whole : Tensor, shape (1, tokens, channels)
        Of the object.
    own : Tensor, shape (parts, tokens, channels)
        Of each part.
    """

    whole: Tensor
    own: Tensor


@dataclass(frozen=True)
class ObjectEncoding:
    """What is computed of an object whatever its parts are, in the memory of the host.

    Parameters
    ----------
    features : Tensor, shape (n, channels) float32
        What each point belongs to.
    whole : Tensor, shape (1, tokens, channels)
        Context of the object.
    """

    features: Tensor
    whole: Tensor

    @property
    def size_bytes(self) -> int:
        """Memory of all of it."""
        return int(self.features.nbytes + self.whole.nbytes)


@torch.inference_mode()
def encoded_parts(
    networks: ModelNetworks,
    config: PartConditionerConfig,
    points: PartPoints,
    seed: int,
    tell: Callable[[float], None],
) -> PartContexts:
    """Describe the object once, and each part; the encoder may leave the device afterwards.

    What is told of the object is kept for other parts of it, see ``point_feature_cache``.

    Parameters
    ----------
    seed : int
        Of whatever is drawn at random.
    tell : callable
        Told the share done; what it raises is raised.
    """
    cloud = _voxels(points, seed)
    item_bytes = networks.weights.of(Component.CONDITIONER).itemsize
    room = room_beside(networks.weight_bytes(Component.CONDITIONER))
    at_once = surfaces_per_call(config.part_encoder, item_bytes, int(SHARE_OF_ROOM * room))
    extra = max(
        encode_bytes(config.part_encoder, at_once, item_bytes), feature_bytes(len(cloud.cells))
    )
    lease = networks.lease(Component.CONDITIONER, extra)
    key = _key(points, seed, networks)
    known: ObjectEncoding | None = feature_cache.get(key)
    noted = {"from_cache": known is not None}
    with lease as net, profile_stage("encode_parts", SpanKind.GPU, noted):
        encoder = _Encoder(networks, net, points, seed)
        if known is None:
            known = encoder.of_object(cloud, lambda: tell(0.5 / (1 + len(points.own))))
            feature_cache.put(key, known, Settings.from_env().feature_cache_mb * MB)
        features = known.features.to(device_of(net))
        own = []
        for first in range(0, len(points.own), at_once):
            tell((1 + first) / (1 + len(points.own)))
            own.append(encoder.some(slice(first, first + at_once), features))
    return PartContexts(known.whole, torch.cat(own))


def _key(points: PartPoints, seed: int, networks: ModelNetworks) -> Hashable:
    """Name what the encoding of an object depends on; its parts are none of it."""
    shown = np.ascontiguousarray(points.whole)
    digest = hashlib.sha256(shown.data).hexdigest()
    return digest, shown.shape, seed, networks.files, networks.weights


def _voxels(points: PartPoints, seed: int) -> VoxelCloud:
    """Pick the points that stand for their neighbours, of the object where it is."""
    rng = np.random.default_rng([seed, VOXEL_STREAM])
    places, normals = points.whole[:, :3], points.whole[:, 3:6]
    return voxel_cloud(places.astype(np.float64), normals.astype(np.float64), rng)


class _Encoder:
    """Calls the conditioner for one object."""

    def __init__(
        self, networks: ModelNetworks, net: PartConditioner, points: PartPoints, seed: int
    ) -> None:
        self._networks, self._net = networks, net
        self._points = points
        self._seed = seed
        self._device = device_of(net)
        self._whole = torch.from_numpy(points.whole)[None].to(self._device)

    def of_object(self, cloud: VoxelCloud, tell: Callable[[], None]) -> ObjectEncoding:
        """Describe the object; tells when the features are there."""
        features = self.features(cloud)
        tell()
        whole = self.whole(features)
        return ObjectEncoding(features.cpu(), whole)

    def features(self, cloud: VoxelCloud) -> Tensor:
        """Return what each point of the object belongs to, (n, channels) float32."""
        levels = self._net.features.config.levels
        orders = order_permutations(torch.Generator().manual_seed(self._seed), levels)
        voxels, cells, inverse = (
            torch.from_numpy(each).to(self._device)
            for each in (cloud.features, cloud.cells, cloud.inverse)
        )
        found: Tensor = self._hosted("/features")(voxels, cells, orders)
        return found[inverse]

    def whole(self, features: Tensor) -> Tensor:
        """Return the context of the object, on the host."""
        order = surface_order((self._seed + 1) % MOST_SEED, self._whole.shape[1])
        chosen = chosen_points(self._whole, order, self._net.config.object_encoder)
        tokens = self._hosted("/object_encoder")(self._whole, chosen, order)
        return joined_context(tokens, features[chosen], self._net.object_out).cpu()

    def some(self, chosen: slice, features: Tensor) -> Tensor:
        """Return the contexts of some parts, on the host."""
        surfaces = torch.from_numpy(np.stack(self._points.own[chosen])).to(self._device)
        order = surface_order(self._seed, surfaces.shape[1])
        begins = chosen_points(surfaces, order, self._net.config.part_encoder)
        places = surfaces[..., :3].gather(1, begins[..., None].expand(-1, -1, 3))
        nearest = nearest_points(places, self._whole[0, :, :3])
        tokens = self._hosted("/part_encoder")(surfaces, begins, order)
        return joined_context(tokens, features[nearest], self._net.part_out).cpu()

    def _hosted(self, part: str) -> HostedModel:
        """Return a part of the conditioner as it is called; its work is counted."""
        return self._networks.hosted(Component.CONDITIONER, self._net, part)
