"""Engine ``cap_parts``: cuts are closed flat. What was hidden is not made up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backend.catalog import CutOutParams
from backend.engines.built_in import BuiltIn
from backend.engines.part_tasks import CompletedParts, CompletionTask
from backend.errors import PartNotClosed
from backend.meshes.closed_part import ClosedPart, ClosingMethod
from backend.meshes.closing.close_part import TURNED, close_part
from backend.meshes.closing.outward_faces import faces_that_look_inwards
from backend.meshes.source_mesh import SourceMesh
from backend.progress import StageProgress

NOTICE = "Cuts are closed flat; hidden surfaces are not reconstructed."


class CapParts(BuiltIn):
    """Caps on the cuts: no weights, any machine."""

    name = "cap_parts"
    title = "Cap and close (built in)"
    notice = NOTICE

    def batch_key(self, params: CutOutParams) -> str:
        """Batch everything: nothing can be set."""
        return self.name

    def cost_key(self, params: CutOutParams) -> str:
        """Cost depends on the mesh alone."""
        return self.name

    def run(self, batch: Sequence[CompletionTask], progress: StageProgress) -> list[CompletedParts]:
        """Close every part of every task; a part that cannot be closed stays open and says so.

        Faces with a negative number are in no part.
        """
        numbers = [np.unique(task.face_parts[task.face_parts >= 0]) for task in batch]
        steps = sum(len(parts) for parts in numbers)
        done, results = 0, []
        for task, parts in zip(batch, numbers, strict=True):
            progress.check_canceled()
            turn = faces_that_look_inwards(task.mesh)
            mesh, closed = _turned_over(task.mesh, turn), []
            for part in parts.tolist():
                progress.step(done, steps)
                chosen = task.face_parts == part
                found = _closed_or_open(mesh.selected(chosen), part, progress)
                closed.append(_with_notice(found, int(turn[chosen].sum())))
                task.on_part(closed[-1])
                done += 1
            results.append(CompletedParts(closed))
        progress.step(steps, steps)
        return results


def _turned_over(mesh: SourceMesh, turn: NDArray[np.bool_]) -> SourceMesh:
    if not turn.any():
        return mesh
    faces = mesh.faces.copy()
    faces[turn] = faces[turn][:, [0, 2, 1]]
    return replace(mesh, faces=faces)


def _with_notice(part: ClosedPart, turned: int) -> ClosedPart:
    if not turned:
        return part
    told = TURNED.format(count=turned)
    return replace(part, notice=f"{part.notice} {told}" if part.notice else told)


def _closed_or_open(mesh: SourceMesh, part: int, progress: StageProgress) -> ClosedPart:
    try:
        return close_part(mesh, part, progress.check_canceled)
    except PartNotClosed as error:
        notice = f"Left open. {error.detail} {error.advice}"
        return ClosedPart(part, mesh, ClosingMethod.OPEN, None, notice)
