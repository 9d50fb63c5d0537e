"""Engine ``line_of_sight_parts``: parts from the shape alone; it knows no names of things."""

from __future__ import annotations

from collections.abc import Sequence

from backend.catalog import CutOutParams
from backend.engines.built_in import BuiltIn
from backend.engines.part_tasks import FoundParts, SegmentationTask
from backend.meshes.parts.division import STEPS, divide
from backend.progress import StageProgress


class LineOfSightParts(BuiltIn):
    """Shape diameter, concave creases and lines of sight, merged greedily: any machine."""

    name = "line_of_sight_parts"
    title = "Parts from shape (built in, no AI)"

    def cost_key(self, params: CutOutParams) -> str:
        """All tasks take about the same time: large meshes are looked at coarsely."""
        return self.name

    def run(self, batch: Sequence[SegmentationTask], progress: StageProgress) -> list[FoundParts]:
        """Divide every mesh; raises JobCanceled between steps."""
        steps = STEPS * len(batch)
        found = []
        for index, task in enumerate(batch):
            done = STEPS * index

            def report(step: int, done: int = done) -> None:
                progress.step(done + step, steps)

            found.append(FoundParts(divide(task.mesh, task.seed, report)))
        progress.step(steps, steps)
        return found
