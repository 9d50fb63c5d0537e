"""A pipeline of one call that gains from batches; orders lie in the picture's place.

``good`` works, ``failing`` fails before the call, ``unsocial`` kills the process unless it is
alone in the call. Each result tells how many shared the call. The name ``slow`` holds the device
for a second, so that others gather behind it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence

from backend.batch_processor import BatchedStage, run_engine
from backend.catalog import CutOutParams, StageName
from backend.engines.engine import Needs
from backend.errors import NoForeground
from backend.pipelines.pipeline import OutputFile, PipelineOutcome, PipelineRequest, stage
from backend.progress import ProgressSink, StageProgress


class Gathering:
    """Tells each task how many there were."""

    name = "gathering"
    title = "Gathering"
    needs = Needs()
    batches = True

    def available(self) -> None:
        return None

    def batch_key(self, params: CutOutParams) -> str:
        return ""

    def cost_key(self, params: CutOutParams) -> str:
        return ""

    def run(self, batch: Sequence[str], progress: StageProgress) -> list[str]:
        for step in range(20 if "slow" in batch else 4):
            progress.step(step, 20)
            threading.Event().wait(0.05)
        if "unsocial" in batch and len(batch) > 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return [f"{order} {len(batch)}" for order in batch]


_ENGINE = Gathering()


def batched_stages(name: str, params: CutOutParams) -> list[BatchedStage]:
    return [BatchedStage(StageName.SHAPE_GENERATION, _ENGINE)]


def run_batched(name: str, request: PipelineRequest, sink: ProgressSink) -> PipelineOutcome:
    order = request.inputs["image"].read_text()
    with stage(StageName.SHAPE_GENERATION, sink) as progress:
        if order == "failing":
            raise NoForeground("Scripted.")
        told = run_engine(_ENGINE, order, progress)
    result = request.out_dir / "mask.png"
    result.write_text(told)
    return PipelineOutcome([OutputFile("mask.png", "png", "mask", result)], {"told": told})
