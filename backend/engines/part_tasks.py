"""What engines that find and complete parts are asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.meshes.source_mesh import SourceMesh


@dataclass(frozen=True)
class SegmentationTask:
    """Find the parts of a surface; the answer is a ``PartTree`` over its faces.

    Parameters
    ----------
    seed : int
        Of whatever is drawn at random.
    """

    mesh: SourceMesh
    seed: int = 0


@dataclass(frozen=True)
class CompletionTask:
    """Make each part a closed mesh; the answer is a list of ``ClosedPart``.

    Parameters
    ----------
    face_parts : (m,) int32
        The part of each face of the mesh.
    """

    mesh: SourceMesh
    face_parts: NDArray[np.int32]
