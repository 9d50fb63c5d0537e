"""Shows parts as they are completed, among those that still wait."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.meshes.closed_part import ClosedPart
from backend.meshes.part_scene import PartScene, ScenePart
from backend.meshes.part_split import ShadedMesh
from backend.meshes.source_mesh import Material, SourceMesh
from backend.meshes.triangle_mesh import TriangleMesh
from backend.pipelines.mesh_preview import MOST_MB
from backend.profiling.recorder import profile_stage
from backend.profiling.spans import SpanKind
from backend.progress import ProgressSink
from backend.units import MB, Clock, SystemClock

WAITING = Material("waiting", base_color=(0.45, 0.46, 0.5, 1.0))
NAME, ROLE = "preview.glb", "preview"
EVERY_S = 3.0
# Parts are not made while they are written.
PAUSE_PER_WRITING = 10.0
BYTES_PER_FACE = 24  # three numbers of 4 bytes, and half a vertex with its normal


class GrowingParts:
    """Writes the preview of a job anew with the parts so far, at most every few seconds.

    Large ones are written less often, so that it takes no more than a tenth of the time. Where
    there is no preview, as for a mesh that is too large for a page, there will be none. Call it
    with each part that is completed.

    Parameters
    ----------
    mesh : SourceMesh
        What is divided.
    face_parts : (m,) int
        The part of each face; those of parts that wait are shown in grey.
    """

    def __init__(
        self,
        mesh: SourceMesh,
        face_parts: NDArray[np.integer],
        out_dir: Path,
        sink: ProgressSink,
        clock: Clock | None = None,
    ) -> None:
        self._mesh, self._face_parts = mesh, face_parts
        self._path, self._sink = out_dir / NAME, sink
        self._clock = clock or SystemClock()
        self._next_s = self._clock.monotonic_s() + EVERY_S
        self._done: list[ClosedPart] = []

    def __call__(self, part: ClosedPart) -> None:
        """Take a part; shows all so far if the last time is long enough ago."""
        self._done.append(part)
        began_s = self._clock.monotonic_s()
        if began_s < self._next_s or not self._path.exists():
            return
        scene = [*self._completed(), *self._waiting()]
        if sum(len(each.shape.mesh.faces) for each in scene) * BYTES_PER_FACE > MOST_MB * MB:
            return
        with profile_stage("show_parts", SpanKind.IO):
            written = self._path.with_name("preview.new.glb")
            PartScene(scene).write(written)
            written.replace(self._path)  # whoever reads the old one reads on
            self._sink.artifact(NAME, ROLE, self._path)
        ended_s = self._clock.monotonic_s()
        self._next_s = ended_s + max(EVERY_S, PAUSE_PER_WRITING * (ended_s - began_s))

    def _completed(self) -> list[ScenePart]:
        return [ScenePart(part.part, ShadedMesh.of(_bare(part.mesh))) for part in self._done]

    def _waiting(self) -> list[ScenePart]:
        """The faces that no part has taken the place of, as one more part."""
        done = [part.part for part in self._done]
        is_left = ~np.isin(self._face_parts, done)
        if not is_left.any():
            return []
        rest = replace(_bare(self._mesh.selected(is_left)), materials=(WAITING,))
        return [ScenePart(1 + max(int(self._face_parts.max()), *done), ShadedMesh.of(rest))]


def _bare(mesh: SourceMesh) -> SourceMesh:
    """Leave textures out: they would be sent again each time."""
    return SourceMesh.plain(TriangleMesh(mesh.vertices, mesh.faces))
