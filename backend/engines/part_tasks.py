"""What engines that find and complete parts are asked, and what they answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.catalog import PartQuality, PartSolver, Preset
from backend.meshes.closed_part import ClosedPart
from backend.meshes.parts.part_tree import PartTree
from backend.meshes.source_mesh import SourceMesh


@dataclass(frozen=True)
class SegmentationWishes:
    """What was asked of an engine that runs networks; what is None follows from the preset.

    Parameters
    ----------
    points : int or None
        Points of the surface that are looked at.
    prompts : int or None
        Points for whose part is asked.
    threshold : float
        Share of the area beyond which small parts join their neighbours.
    post_process : bool
        Whether they do.
    """

    preset: Preset = Preset.STANDARD
    points: int | None = None
    prompts: int | None = None
    threshold: float = 0.95
    post_process: bool = True


@dataclass(frozen=True)
class SegmentationTask:
    """Find the parts of a surface; the answer is a ``FoundParts``.

    Parameters
    ----------
    seed : int
        Of whatever is drawn at random.
    """

    mesh: SourceMesh
    seed: int = 0
    wishes: SegmentationWishes = SegmentationWishes()


@dataclass(frozen=True)
class FoundParts:
    """The parts of a surface, and how they were found.

    Parameters
    ----------
    tree : PartTree
        Over the faces of the mesh, in their order.
    facts : dict
        JSON-ready: which model, with which settings.
    notice : str
        What people should know of it.
    """

    tree: PartTree
    facts: dict[str, Any] = field(default_factory=dict)
    notice: str = ""


@dataclass(frozen=True)
class CompletionWishes:
    """What was asked of an engine that runs networks; what is None follows from the preset.

    Parameters
    ----------
    quality : PartQuality or None
        How closely the published way is followed; ``steps`` and ``solver`` count before it.
    steps : int or None
        From noise to parts.
    cells : int or None
        Along the longest side of the object, on which parts are read off.
    """

    preset: Preset = Preset.STANDARD
    steps: int | None = None
    solver: PartSolver | None = None
    cells: int | None = None
    quality: PartQuality | None = None


@dataclass(frozen=True)
class CompletionTask:
    """Make each part a closed mesh; the answer is a ``CompletedParts``.

    Parameters
    ----------
    face_parts : (m,) int32
        The part of each face of the mesh; below 0 for faces in none.
    boxes : (p, 2, 3) float32 or None
        Lowest and highest corner of each part as somebody drew or changed them, in the order of
        the numbers; those of the faces if absent. For engines that go by boxes.
    seed : int
        Of whatever is drawn at random.
    on_part : callable
        Told of each part as soon as it is there; what it raises is raised.
    """

    mesh: SourceMesh
    face_parts: NDArray[np.int32]
    boxes: NDArray[np.float32] | None = None
    seed: int = 0
    wishes: CompletionWishes = CompletionWishes()
    on_part: Callable[[ClosedPart], None] = field(default=lambda part: None)


@dataclass(frozen=True)
class CompletedParts:
    """The parts as meshes of their own, and how they were made.

    Parameters
    ----------
    parts : list of ClosedPart
        Those that have faces, by number.
    facts : dict
        JSON-ready: which model, with which settings.
    notice : str
        What people should know of all of them.
    """

    parts: list[ClosedPart]
    facts: dict[str, Any] = field(default_factory=dict)
    notice: str = ""
