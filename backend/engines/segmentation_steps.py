"""The steps from a mesh to its parts through P3-SAM. Imports torch."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from backend.engines.cloud_features import PROMPT_STREAM, CloudFeatures, features_for
from backend.engines.gpu_presence import has_gpu
from backend.engines.mask_head_work import mask_flop
from backend.engines.model_networks import device_of, networks_of
from backend.engines.p3sam_effort import MODEL_ID, SegmentationEffort
from backend.engines.part_room import work_room
from backend.engines.part_tasks import FoundParts
from backend.engines.segmentation_memory import (
    MaskWork,
    asking_bytes,
    fitting_work,
    pass_bytes,
    room_bytes,
)
from backend.errors import WeightsDamaged
from backend.meshes.mask_parts.face_parts import face_parts
from backend.meshes.parts.found_tree import SeenPoints, found_tree
from backend.meshes.source_mesh import SourceMesh
from backend.models.checkpoints.catalogue import model_of
from backend.models.checkpoints.checkpoint import Component
from backend.models.p3sam.config import HeadsConfig, P3SamConfig
from backend.models.p3sam.farthest_points import farthest_points
from backend.models.p3sam.mask_selection import SelectedMasks, select_masks
from backend.models.p3sam.prompt_masks import (
    CPU_CHUNK_POINTS,
    CPU_PROMPT_BATCH,
    PromptMasks,
    prompt_masks,
)
from backend.profiling.recorder import profile_stage
from backend.profiling.spans import SpanKind
from backend.profiling.work import note_work
from backend.settings import Settings


class Tell(Protocol):
    """Where the steps report; what it raises is raised."""

    def encoded(self, share: float) -> None:
        """So much of the features of the points is there, from 0 to 1."""

    def asked(self, done: int, prompts: int) -> None:
        """So many prompts have their masks."""

    def selected(self) -> None:
        """It is known which masks are parts."""

    def check(self) -> None:
        """Raise JobCanceled when the user asked to stop."""


class SegmentationSteps:
    """Runs P3-SAM for one mesh.

    Parameters
    ----------
    effort : SegmentationEffort
    tell : Tell
    """

    def __init__(self, effort: SegmentationEffort, tell: Tell) -> None:
        self._effort = effort
        self._tell = tell
        self._networks = networks_of(MODEL_ID)

    def looked_at(self, mesh: SourceMesh, seed: int) -> CloudFeatures:
        """Draw points on the surface and describe each; quick for a mesh that is known."""
        points, tell = self._effort.points, self._tell.encoded
        cloud = features_for(mesh, points, seed, self._networks, tell)
        tell(1)
        return cloud

    @torch.inference_mode()
    def masked(self, cloud: CloudFeatures, seed: int) -> PromptMasks:
        """Ask for the part of points that lie far from each other; raises WeightsDamaged."""
        effort = self._effort
        work = self._mask_work(effort.points)
        lease = self._networks.lease(Component.SEGMENTER, self._mask_bytes(effort.points, work))
        with profile_stage("predict_masks", SpanKind.GPU), lease as network:
            features, shifted = cloud.on(device_of(network))
            terms = network.heads.point_terms(features, shifted)
            del features
            start = int(np.random.default_rng([seed, PROMPT_STREAM]).integers(len(shifted)))
            prompts = shifted[farthest_points(shifted, effort.prompts, start)]
            flop = mask_flop(network.heads.config, len(shifted), len(prompts))
            note_work(flop, None, "fp32")
            masks = prompt_masks(
                network.heads,
                terms,
                prompts,
                chunk_points=work.chunk_points,
                prompt_batch=work.prompt_batch,
                tell=self._tell.asked,
            )
        self._require_numbers(masks)
        return masks

    def selected(self, masks: PromptMasks, cloud: CloudFeatures) -> SelectedMasks:
        """Find the masks that many prompts agree on."""
        with profile_stage("select_masks"):
            picked = select_masks(masks, cloud.shifted)
        self._tell.selected()
        return picked

    def found(
        self, mesh: SourceMesh, cloud: CloudFeatures, masks: PromptMasks, picked: SelectedMasks
    ) -> FoundParts:
        """Give every face a part, and tell which parts are alike."""
        effort = self._effort
        with profile_stage("label_faces"):
            labelled = face_parts(
                mesh.vertices,
                mesh.faces,
                cloud.samples.faces,
                picked.labels,
                post_process=effort.post_process,
                threshold=effort.threshold,
                check_canceled=self._tell.check,
            )
            samples = cloud.samples
            seen = SeenPoints(
                samples.raw,
                samples.faces,
                _chosen(masks, picked.order[picked.distinct]).unpacked(),
                cloud.rows.numpy(),
                cloud.inverse,
            )
            tree = found_tree(mesh, labelled.numbers.astype(np.int32), seen)
        notice = f"{effort.notice} {picked.notice}".strip()
        return FoundParts(tree, self._facts(cloud, len(picked.kept)), notice)

    @property
    def _heads(self) -> HeadsConfig:
        params = self._networks.checkpoint.components[Component.SEGMENTER].params
        return P3SamConfig.from_upstream(params).heads

    def _mask_work(self, points: int) -> MaskWork:
        """Choose how much goes through the heads at once, as the optimizer gives memory."""
        if not has_gpu(Settings.from_env()):
            return MaskWork(CPU_CHUNK_POINTS, CPU_PROMPT_BATCH)
        weights_bytes = self._networks.weight_bytes(Component.SEGMENTER)
        room = work_room(weights_bytes, self._networks.held_bytes(Component.SEGMENTER))
        heads = self._heads
        return fitting_work(
            room_bytes(room, weights_bytes), lambda work: pass_bytes(heads, points, work)
        )

    def _mask_bytes(self, points: int, work: MaskWork) -> int:
        """Memory that asking takes: while it is made ready, and pass after pass."""
        heads = self._heads
        return max(asking_bytes(heads, points), pass_bytes(heads, points, work))

    def _require_numbers(self, masks: PromptMasks) -> None:
        """Refuse weights that make no numbers: all that they said would be made up."""
        if not bool(torch.isfinite(masks.iou).all()):
            file = self._networks.checkpoint.components[Component.SEGMENTER].file
            raise WeightsDamaged(f"{file} holds numbers with which nothing can be computed.")

    def _facts(self, cloud: CloudFeatures, masks_kept: int) -> dict[str, Any]:
        effort = self._effort
        return {
            "model": MODEL_ID,
            "revision": self._networks.revision,
            "points": effort.points,
            "prompts": effort.prompts,
            "threshold": effort.threshold,
            "post_process": effort.post_process,
            "masks_kept": masks_kept,
            "geometry": cloud.geometry,
            "precision": self._networks.weights.title,
            "licence": model_of(MODEL_ID).licence.value,
        }


def _chosen(masks: PromptMasks, numbers: NDArray[np.int64]) -> PromptMasks:
    """Take the masks of some prompts."""
    rows = torch.from_numpy(numbers).to(masks.bits.device)
    return PromptMasks(masks.bits[rows], masks.points, masks.iou[rows])
