"""What the stages are given: solids, points on them, masks, and random weights. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray
from torch import Tensor

from backend.meshes.mask_parts.surface_samples import SurfaceSamples, surface_samples
from backend.models.p3sam.prompt_masks import PromptMasks, packed
from bench.shape.random_weights import random_state

SEED = 7
# How often a mask of a synthetic prompt says something else of a point than the others do.
NOISE, MISLED = 0.01, 0.2
# Faces of a solid before any is divided; each division makes four of one.
BALLS, LEAST_FACES, DIVIDED = 6, 20, 4

State = dict[str, Tensor]


@dataclass(frozen=True)
class Weights:
    """Random weights of one network.

    Parameters
    ----------
    published : dict of str to Tensor
        By published name, for the reference; in float32 where ours are of 16 bits.
    ours : dict of str to Tensor
        By our names.
    """

    published: State
    ours: State

    @classmethod
    def drawn(
        cls,
        shapes: Mapping[str, torch.Size],
        fold: Callable[[State], State],
        device: torch.device,
        dtype: torch.dtype,
        change: Callable[[State], None] = lambda state: None,
    ) -> Weights:
        """Draw them; the same names and shapes give the same numbers on one device."""
        state = random_state(shapes, device, dtype)
        change(state)
        wide = {name: tensor.float() for name, tensor in state.items()}
        return cls(wide, fold(state))


def loaded(network: Any, weights: Weights) -> Any:
    """Give a network that was built on the meta device its weights."""
    network.load_state_dict(weights.ours, strict=True, assign=True)
    return network.eval().requires_grad_(False)


def solids(faces: int) -> trimesh.Trimesh:
    """Build balls that touch nothing, of about so many faces together."""
    level = max(0, round(np.log(faces / BALLS / LEAST_FACES) / np.log(DIVIDED)))
    vertices, corners, before = [], [], 0
    for number in range(BALLS):
        radius, centre = 0.35 + 0.03 * number, np.array([number % 3, number // 3, 0]) * 1.1
        ball = trimesh.creation.icosphere(subdivisions=level, radius=radius)
        vertices.append(ball.vertices + centre)
        corners.append(ball.faces + before)
        before += len(ball.vertices)
    return trimesh.Trimesh(np.concatenate(vertices), np.concatenate(corners), process=False)


def cloud(points: int) -> SurfaceSamples:
    """Draw points on solids."""
    mesh = solids(5000)
    return surface_samples(np.asarray(mesh.vertices), np.asarray(mesh.faces), points, SEED)


def surfaces(count: int, points: int) -> Tensor:
    """Draw surfaces, each of a box of its own, (count, points, 7) float32."""
    drawn = []
    for number in range(count):
        centre = np.array([0.5 * np.cos(number), 0.5 * np.sin(number), 0.1 * (number % 3)])
        box = trimesh.creation.box(extents=(0.3, 0.2, 0.25))
        box.apply_translation(centre)
        found = surface_samples(np.asarray(box.vertices), np.asarray(box.faces), points, SEED)
        rows = [found.raw, found.normals, np.zeros((points, 1))]
        drawn.append(np.concatenate(rows, axis=1).astype(np.float32))
    return torch.from_numpy(np.stack(drawn))


def synthetic_masks(samples: SurfaceSamples, prompts: int) -> PromptMasks:
    """Make masks as a network would: of one of eight octants each, a little wrong."""
    rng = np.random.default_rng(SEED)
    octants = ((samples.points > samples.points.mean(axis=0)) * [1, 2, 4]).sum(axis=1)
    aimed = rng.integers(0, 8, prompts)
    masks = octants[None] == aimed[:, None]
    masks ^= rng.random(masks.shape) < NOISE
    wrong = rng.random(prompts) < MISLED
    masks[wrong] |= octants[None] == rng.integers(0, 8, (int(wrong.sum()), 1))
    iou = torch.from_numpy(rng.random(prompts).astype(np.float32))
    return PromptMasks(packed(torch.from_numpy(masks)), len(octants), iou)


def sample_labels(samples: SurfaceSamples) -> NDArray[np.int64]:
    """Label samples by slices of the object, with some wrong and some missing."""
    rng = np.random.default_rng(SEED)
    places = samples.points[:, 0] * 4 + np.sin(6 * samples.points[:, 1])
    labels: NDArray[np.int64] = np.floor(places - places.min()).astype(np.int64)
    labels[rng.random(len(labels)) < NOISE] = -1
    flipped = rng.random(len(labels)) < NOISE
    labels[flipped] = rng.integers(0, labels.max() + 1, int(flipped.sum()))
    return labels
