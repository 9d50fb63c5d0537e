"""Parts of a surface as a completion takes them: found, or sent along as numbers or boxes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.meshes.box_faces import NO_BOX, faces_by_box
from backend.meshes.source_mesh import SourceMesh
from backend.pipelines.face_ids import read_face_ids
from backend.pipelines.given_boxes import check_one_for_each, read_boxes
from backend.pipelines.part_division import Division, divided_as
from backend.progress import StageProgress

FACE_IDS, BOXES = "face_ids", "boxes"


@dataclass(frozen=True)
class GivenParts:
    """A division, and what of it is to be completed.

    Parameters
    ----------
    face_parts : (m,) int32
        The part of each face; below 0 for faces that are left out.
    boxes : (p, 2, 3) float32 or None
        Of each part, where somebody drew them.
    """

    division: Division
    face_parts: NDArray[np.int32]
    boxes: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, division: Division) -> GivenParts:
        """Take all parts of a division."""
        return cls(division, division.face_parts)


def given_parts(
    mesh: SourceMesh, inputs: Mapping[str, Path], progress: StageProgress
) -> GivenParts:
    """Take the parts that were sent along.

    Part numbers decide where faces belong, boxes what of the mesh is shown to an engine that goes
    by them. With boxes alone, a face belongs to the smallest that holds its centre.

    Raises
    ------
    InvalidParameter
        They do not fit the mesh, or each other.
    """
    boxes = read_boxes(inputs[BOXES]) if BOXES in inputs else None
    if FACE_IDS in inputs:
        division = divided_as(mesh, read_face_ids(inputs[FACE_IDS], len(mesh.faces), progress))
        if boxes is not None:
            check_one_for_each(boxes, division.count)
        return GivenParts(division, division.face_parts, boxes)
    if boxes is None:
        raise ValueError("neither part numbers nor boxes were given")
    return _parts_in_boxes(mesh, boxes, progress)


def _parts_in_boxes(
    mesh: SourceMesh, boxes: NDArray[np.float32], progress: StageProgress
) -> GivenParts:
    """Give faces to boxes; those in none are shown as one more part, and not completed."""
    face_parts = faces_by_box(mesh, boxes)
    loose = face_parts == NO_BOX
    shown = np.where(loose, len(boxes), face_parts).astype(np.int32)
    if loose.any():
        progress.warn(
            f"{int(loose.sum())} faces lie in no box; they are the last part, and stay as they are."
        )
    division = divided_as(mesh, shown, len(boxes) + bool(loose.any()))
    return GivenParts(division, face_parts, boxes)
