"""Checks recorded ways from masks of samples to parts of faces."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.meshes.mask_parts.face_parts import face_parts
from backend.meshes.mask_parts.surface_samples import unit_box
from backend.models.p3sam.farthest_points import farthest_points
from backend.models.p3sam.mask_selection import select_masks
from backend.models.p3sam.prompt_masks import PromptMasks, packed
from bench.parity.comparison import Comparison, failed
from bench.parity.golden_folder import GoldenFile
from bench.parity.recorded_lines import Tolerance, compared_one

EXACT = Tolerance(0.0)
ROUNDING = 1e-6


def is_face_parts(file: GoldenFile) -> bool:
    """Whether a file holds a mesh, masks of samples and what faces became of them."""
    return file.has("mesh.faces") and file.has("in.face_idx")


def face_part_comparisons(file: GoldenFile) -> Iterator[Comparison]:
    """Compare the way from masks of samples to parts of faces."""
    points = file.tensors["in.points_normalised"]
    if file.has("in.points_raw"):
        unit = torch.from_numpy(unit_box(file.tensors["in.points_raw"].numpy()))
        yield compared_one(file, "in.points_normalised", unit, EXACT)
    if file.has("in.fps_idx"):
        yield _prompts(file, points)
    picked = select_masks(_recorded_masks(file), points.numpy())
    parts = face_parts(
        file.tensors["mesh.vertices"].numpy(),
        file.tensors["mesh.faces"].numpy(),
        file.tensors["in.face_idx"].numpy(),
        picked.labels,
        post_process=_is_true(file.noted.get("post_process", True)),
        threshold=float(file.noted.get("threshold", 0.95)),
    )
    made = {
        "out.face_ids": torch.from_numpy(parts.face_ids),
        "out.aabb": torch.from_numpy(parts.boxes),
    }
    for name in sorted(file.recorded & made.keys()):
        yield compared_one(file, name, made[name], EXACT)
    for name in sorted(file.recorded - made.keys()):
        yield failed(f"{file.name} {name}", "is not computed")


def _prompts(file: GoldenFile, points: Tensor) -> Comparison:
    """Compare which points were chosen; of points equally far, rounding may choose another."""
    recorded = file.tensors["in.fps_idx"].long()
    found = farthest_points(points, len(recorded), start=int(recorded[0]))
    if torch.equal(found, recorded):
        return compared_one(file, "in.fps_idx", found, EXACT)
    nearest = torch.full((len(points),), torch.inf, dtype=torch.float64)
    shortfall = 0.0
    for before, chosen in pairwise(recorded.tolist()):
        nearest = nearest.minimum((points - points[before]).norm(dim=1))
        shortfall = max(shortfall, float(1 - nearest[chosen] / nearest.max()))
    note = f"{int((found != recorded).sum())} differ; how much nearer than the farthest they are"
    return Comparison(f"{file.name} in.fps_idx", shortfall, ROUNDING, note)


def _recorded_masks(file: GoldenFile) -> PromptMasks:
    """Keep of each prompt the mask liked most."""
    iou = file.tensors["in.iou"]
    points = len(file.tensors["in.points_normalised"])
    three = torch.stack([_unpacked(file, number + 1, points) for number in range(iou.shape[1])])
    expected, chosen = iou.max(1)
    return PromptMasks(packed(three[chosen, torch.arange(len(iou))]), points, expected)


def _unpacked(file: GoldenFile, number: int, points: int) -> Tensor:
    """Return recorded masks, (prompts, points) bool."""
    bits: NDArray[np.uint8] = file.tensors[f"in.mask{number}_packbits_axis0"].numpy()
    rows = np.unpackbits(bits, axis=0, count=points).astype(bool)
    return torch.from_numpy(np.ascontiguousarray(rows.T))


def _is_true(noted: object) -> bool:
    """Read what Python writes for a truth, which is no JSON."""
    return noted is True or str(noted) == "True"
