"""Stages of finding parts: features of points, masks, labels and faces. Imports torch."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
import trimesh
from torch import Tensor

from backend.meshes.mask_parts.face_parts import face_parts
from backend.meshes.mask_parts.surface_samples import surface_samples
from backend.models.hunyuan3d.plain_weights import fold_origins, published_shapes
from backend.models.p3sam.config import HeadsConfig
from backend.models.p3sam.farthest_points import farthest_points
from backend.models.p3sam.heads_weights import heads_origins
from backend.models.p3sam.mask_heads import MaskHeads
from backend.models.p3sam.mask_selection import select_masks
from backend.models.p3sam.prompt_masks import prompt_masks
from backend.models.sonata import sonata_weights
from backend.models.sonata.config import SonataConfig
from backend.models.sonata.point_features import PointFeatures
from backend.models.sonata.serialization import order_permutations
from backend.models.sonata.voxels import VoxelCloud, voxel_cloud
from bench.parts import reference_faces, reference_heads, reference_masks, reference_sonata
from bench.parts.inputs import (
    SEED,
    Weights,
    cloud,
    loaded,
    sample_labels,
    solids,
    synthetic_masks,
)
from bench.parts.sizes import PartSizes
from bench.parts.stage import Stage, equal_share, within

THRESHOLD = 0.95
# Masks of random networks end in the middle of nowhere: rounding moves a few points over the edge.
EQUAL_MASKS = 0.9999
# The reference takes ten kilobytes for each point and prompt of a batch.
MOST_PAIRS_ON_CPU = 500_000


def voxels(points: int) -> VoxelCloud:
    """Put points on solids into cells."""
    samples = cloud(points)
    return voxel_cloud(samples.points, samples.normals, np.random.default_rng(SEED))


def encoder_stage(sizes: PartSizes, device: torch.device, _dtype: torch.dtype) -> Stage:
    """Give features to points; in float32 both ways, as published."""
    config = SonataConfig.from_upstream(sizes.sonata_params)
    shapes = sonata_weights.upstream_shapes(config)
    fold = partial(sonata_weights.fold, config=config)
    weights = Weights.drawn(shapes, fold, device, torch.float32)
    with torch.device("meta"):
        network = PointFeatures(config)
    network = loaded(network, weights)
    found = voxels(sizes.points)
    rows = torch.from_numpy(found.features).to(device)
    cells = torch.from_numpy(found.cells).to(device)
    orders = order_permutations(torch.Generator().manual_seed(SEED), config.levels)

    def reference() -> Tensor:
        return reference_sonata.point_features(
            weights.published, sizes.sonata_params, rows, cells, orders
        )

    note = f"{len(rows)} cells of {sizes.points} points"
    return Stage(
        "features", lambda: network(rows, cells, orders), reference, within(1e-4), note=note
    )


def heads_stage(sizes: PartSizes, device: torch.device, _dtype: torch.dtype) -> Stage:
    """Predict the best mask of every prompt; in float32 both ways, as published."""
    config = HeadsConfig.from_upstream(sizes.heads_params)
    shapes = published_shapes(heads_origins(config))

    def fold(state: dict[str, Tensor]) -> dict[str, Tensor]:
        return fold_origins(state, heads_origins(config))

    weights = Weights.drawn(shapes, fold, device, torch.float32)
    with torch.device("meta"):
        network = MaskHeads(config)
    network = loaded(network, weights)
    samples = cloud(sizes.points)
    points = torch.from_numpy(samples.points).float().to(device)
    source = torch.Generator().manual_seed(SEED)
    features = torch.randn(len(points), config.feature_channels, generator=source).to(device)
    asked = sizes.prompts
    if device.type == "cpu":
        asked = max(1, min(asked, MOST_PAIRS_ON_CPU // len(points)))
    prompts = points[farthest_points(points, asked)]

    def ours() -> Any:
        return prompt_masks(network, network.point_terms(features, points), prompts).unpacked()

    def reference() -> Any:
        masks, _ = reference_heads.best_masks(
            weights.published, features, points, prompts, sizes.prompt_batch
        )
        return masks.T.numpy()

    at_once = min(asked, sizes.prompt_batch)
    note = f"{len(points)} points, {asked} of {sizes.prompts} prompts, {at_once} at a time"
    return Stage("heads", ours, reference, equal_share(EQUAL_MASKS), note=note)


def selection_stage(sizes: PartSizes, device: torch.device, _dtype: torch.dtype) -> Stage:
    """Choose among masks, and label points."""
    samples = cloud(sizes.samples)
    masks = synthetic_masks(samples, sizes.masks)
    rows, iou = masks.unpacked(), masks.iou.numpy()
    on_device = type(masks)(masks.bits.to(device), masks.points, masks.iou.to(device))
    return Stage(
        "mask selection",
        lambda: select_masks(on_device, samples.points).labels,
        lambda: reference_masks.point_labels(np.ascontiguousarray(rows.T), iou, samples.points),
        equal_share(),
        note=f"{sizes.masks} masks of {sizes.samples} points; the reference compares masks with "
        "the first of each cluster only, one after the other in one thread",
    )


def faces_stage(faces: int, sizes: PartSizes, _device: torch.device, _dtype: torch.dtype) -> Stage:
    """Carry labels of points over to the faces of a mesh."""
    mesh = solids(faces)
    vertices, corners = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    samples = surface_samples(vertices, corners, sizes.samples, SEED)
    labels = sample_labels(samples)

    def ours() -> Any:
        return face_parts(
            vertices, corners, samples.faces, labels, post_process=True, threshold=THRESHOLD
        ).face_ids

    def reference() -> Any:
        clean = trimesh.Trimesh(vertices, corners, process=True, validate=True)
        solid = reference_faces.Solid.of(clean)
        ids, _ = reference_faces.face_parts(
            solid, samples.faces, labels, threshold=THRESHOLD, post_process=True
        )
        return ids

    note = f"{len(corners)} faces, {sizes.samples} samples"
    return Stage(f"faces {faces}", ours, reference, equal_share(), note=note)
