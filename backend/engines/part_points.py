"""Which parts X-Part is asked for, and the points by which it sees them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.engines.part_tasks import CompletionTask
from backend.meshes.part_facts import measure_parts
from backend.meshes.part_surfaces import (
    UnitMesh,
    faces_in_box,
    object_surface,
    part_surface,
    unit_mesh,
)


@dataclass(frozen=True)
class BoxedParts:
    """The parts of a task, in units of the networks.

    Parameters
    ----------
    unit : UnitMesh
        The whole object.
    numbers : list of int
        Of the parts whose box holds faces, in rising order.
    boxes : (k, 2, 3) float64
        Of these.
    faces : list of (f,) int64
        What their boxes hold.
    empty : list of int
        Parts whose box holds no face.
    """

    unit: UnitMesh
    numbers: list[int]
    boxes: NDArray[np.float64]
    faces: list[NDArray[np.int64]]
    empty: list[int]


@dataclass(frozen=True)
class PartPoints:
    """Points on an object and on its parts, in units of the networks.

    Parameters
    ----------
    whole : (n, 7) float32
        Place, normal, and 0.
    own : list of (n, 7) float32
        Of each part.
    boxes : (k, 2, 3) float64
    """

    whole: NDArray[np.float32]
    own: list[NDArray[np.float32]]
    boxes: NDArray[np.float64]


def boxed_parts(
    task: CompletionTask, check_canceled: Callable[[], None] = lambda: None
) -> BoxedParts:
    """Find the boxes of the parts: as they were drawn, or around the faces of each.

    Parameters
    ----------
    check_canceled : callable
        Called before each part; what it raises is raised.

    Raises
    ------
    ValueError
        The mesh has no size.
    """
    unit = unit_mesh(task.mesh.vertices, task.mesh.faces)
    boxes = _boxes_of(task) if task.boxes is None else dict(enumerate(task.boxes))
    found = {number: unit.to_unit(box) for number, box in boxes.items()}
    faces = {}
    for number, box in found.items():
        check_canceled()
        faces[number] = faces_in_box(unit, box)
    numbers = [number for number in found if len(faces[number])]
    return BoxedParts(
        unit,
        numbers,
        np.array([found[number] for number in numbers]).reshape(-1, 2, 3),
        [faces[number] for number in numbers],
        [number for number in found if not len(faces[number])],
    )


def part_points(
    parts: BoxedParts, seed: int, count: int, tell: Callable[[float], None] = lambda share: None
) -> PartPoints:
    """Draw the points.

    Parameters
    ----------
    count : int
        Points of each surface.
    tell : callable
        Told the share done before each part; what it raises is raised.

    Raises
    ------
    ValueError
        No face of the object has an area.
    """
    whole = object_surface(parts.unit, seed, count)
    own = []
    for number, faces in enumerate(parts.faces):
        tell(number / len(parts.faces))
        own.append(part_surface(parts.unit, faces, seed, count))
    return PartPoints(whole, own, parts.boxes)


def _boxes_of(task: CompletionTask) -> dict[int, NDArray[np.float32]]:
    """Boxes around the faces of each part that has some, by number."""
    is_in = task.face_parts >= 0
    if not is_in.any():
        return {}
    count = int(task.face_parts.max()) + 1
    labels = np.where(is_in, task.face_parts, count)
    measured = measure_parts(task.mesh, labels, count + 1)
    return {number: measured.boxes[number] for number in range(count) if measured.faces[number]}
