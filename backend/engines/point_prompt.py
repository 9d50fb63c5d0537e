"""What P3-SAM answers to a single point of a surface. Imports torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree

from backend.engines.cloud_features import CloudFeatures, features_for, kept_features
from backend.engines.model_networks import ModelNetworks, device_of, networks_of
from backend.engines.p3sam_effort import MODEL_ID
from backend.engines.point_feature_cache import term_cache
from backend.errors import InvalidParameter
from backend.meshes.mask_parts.surface_samples import SurfaceSamples
from backend.meshes.source_mesh import SourceMesh
from backend.models.checkpoints.checkpoint import Component
from backend.models.p3sam.config import P3SamConfig
from backend.models.p3sam.mask_heads import MaskHeads, PointTerms
from backend.models.p3sam.prompt_masks import masks_of_point, working_bytes
from backend.profiling.recorder import profile_stage
from backend.profiling.spans import SpanKind
from backend.settings import Settings
from backend.units import MB

GPU_CHUNK_POINTS = 65_536
ON_PROCESSOR_POINTS = 8_192
"""A processor asks at so many points, and the others go with the nearest: an answer in time."""
TERMS_SHARE = 0.5
"""Of the memory for features, beside it."""
FARTHEST = 0.1
"""Of half the longest side of the mesh: what is farther from it is not on it."""


@dataclass(frozen=True)
class _KeptTerms:
    """Terms of points of a surface, which is held so that it stays what it is known by.

    Parameters
    ----------
    nearest : (n,) int64 or None
        For each point of the surface the one of those with terms that is nearest; None where all
        have terms.
    """

    cloud: CloudFeatures
    terms: PointTerms
    nearest: NDArray[np.int64] | None

    @property
    def size_bytes(self) -> int:
        """Memory of the terms and of what leads to them."""
        terms = sum(int(tensor.nbytes) for tensor in vars(self.terms).values())
        return terms + (0 if self.nearest is None else self.nearest.nbytes)


@dataclass(frozen=True)
class PointPrompt:
    """A point that is asked about.

    Parameters
    ----------
    place : (3,) float64
        In the coordinates of the mesh.
    points : int
        Points of the surface that are looked at.
    seed : int
        Of these points.
    geometry : str or None
        Names the surface, if it is known; see ``geometry_digest``.
    """

    place: NDArray[np.float64]
    points: int
    seed: int
    geometry: str | None = None


@dataclass(frozen=True)
class PointAnswer:
    """Three masks that may be the part at a point, of different size.

    Parameters
    ----------
    samples : SurfaceSamples
        The points of the surface.
    inside : (3, n) bool
        Which of them are in each mask; the mask that is expected to fit best comes first.
    iou : (3,) float32
        How well each is expected to fit, from 0 to 1.
    nearest : int
        The sample nearest to the point.
    was_known : bool
        Whether the surface had been looked at before.
    """

    samples: SurfaceSamples
    inside: NDArray[np.bool_]
    iou: NDArray[np.float32]
    nearest: int
    was_known: bool


def answer_at(prompt: PointPrompt, read: Callable[[], SourceMesh]) -> PointAnswer:
    """Ask which part a point is in.

    Parameters
    ----------
    read : callable
        Reads the mesh; called only where its features are not kept.

    Raises
    ------
    InvalidParameter
        The point is not on the mesh.
    EngineUnavailable, LicenceNotAccepted, WeightsMissing, CheckpointConfigInvalid
    """
    networks = networks_of(MODEL_ID)
    known = None
    if prompt.geometry is not None:
        known = kept_features(prompt.geometry, prompt.points, prompt.seed, networks)
    cloud = known or features_for(read(), prompt.points, prompt.seed, networks)
    shifted, nearest = _placed(cloud, prompt.place)
    with profile_stage("predict_masks", SpanKind.GPU):
        inside, iou = _masks(cloud, shifted, networks)
    best_first = np.argsort(-iou, kind="stable")
    return PointAnswer(
        cloud.samples, inside[best_first], iou[best_first], nearest, known is not None
    )


@torch.inference_mode()
def _masks(
    cloud: CloudFeatures, place: NDArray[np.float64], networks: ModelNetworks
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Ask the mask heads alone; returns masks (3, n) and how well each is expected to fit (3,)."""
    with networks.lease(Component.SEGMENTER, _extra_bytes(cloud, networks)) as network:
        device = device_of(network)
        kept = _point_terms(network.heads, cloud, device)
        asked = torch.from_numpy(place).to(device, torch.float32)
        masks = masks_of_point(
            network.heads, kept.terms, asked[None], chunk_points=GPU_CHUNK_POINTS
        )
    inside = masks.unpacked()
    if kept.nearest is not None:
        inside = inside[:, kept.nearest]
    return inside, masks.iou.cpu().numpy()


def _point_terms(heads: MaskHeads, cloud: CloudFeatures, device: torch.device) -> _KeptTerms:
    """Return what all questions about a surface share, on a processor from the last question."""
    features, places = cloud.on(device)
    if device.type == "cuda":
        return _KeptTerms(cloud, heads.point_terms(features, places), None)
    kept: _KeptTerms | None = term_cache.get(id(cloud))
    if kept is None:
        chosen, nearest = _asked_points(cloud.shifted)
        kept = _KeptTerms(cloud, heads.point_terms(features[chosen], places[chosen]), nearest)
        limit_bytes = int(TERMS_SHARE * Settings.from_env().feature_cache_mb * MB)
        term_cache.put(id(cloud), kept, limit_bytes)
    return kept


def _asked_points(
    places: NDArray[np.floating],
) -> tuple[slice | NDArray[np.int64], NDArray[np.int64] | None]:
    """Choose the points at which a processor asks, the same ones each time.

    Returns
    -------
    chosen : slice or (k,) int64
    nearest : (n,) int64 or None
        Of the chosen ones, for each point; None where all are chosen.
    """
    if len(places) <= ON_PROCESSOR_POINTS:
        return slice(None), None
    rng = np.random.default_rng(len(places))
    chosen = np.sort(rng.choice(len(places), ON_PROCESSOR_POINTS, replace=False))
    return chosen, np.asarray(KDTree(places[chosen]).query(places)[1], dtype=np.int64)


def _extra_bytes(cloud: CloudFeatures, networks: ModelNetworks) -> int:
    """Memory of the features of all points, and of one pass through the heads."""
    params = networks.checkpoint.components[Component.SEGMENTER].params
    heads = P3SamConfig.from_upstream(params).heads
    points = len(cloud.inverse)
    features = points * heads.feature_channels * torch.float32.itemsize
    return features + working_bytes(
        heads, points, torch.float32, chunk_points=GPU_CHUNK_POINTS, prompt_batch=1
    )


def _placed(cloud: CloudFeatures, place: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Return a point in the coordinates of the mask heads, and the sample nearest to it."""
    raw, shifted = cloud.samples.raw, cloud.shifted
    axis = int(np.ptp(raw, axis=0).argmax())
    low, high = raw[:, axis].argmin(), raw[:, axis].argmax()
    scale = (shifted[high, axis] - shifted[low, axis]) / (raw[high, axis] - raw[low, axis])
    moved = shifted[low] + scale * (place - raw[low])
    distances = np.linalg.norm(shifted - moved, axis=1)
    nearest = int(distances.argmin())
    if not distances[nearest] <= FARTHEST:
        raise InvalidParameter(
            "The point is not on the mesh.",
            advice="Give a point of its surface, in the coordinates of the mesh file.",
        )
    return moved, nearest
