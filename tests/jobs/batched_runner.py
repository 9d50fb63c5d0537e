"""A pipeline of one call that gains from batches; orders lie in the picture's place.

``good`` works, ``failing`` fails before the call, ``unsocial`` kills the process unless it is
alone in the call. Each result tells how many shared the call. ``slow:PATH`` holds the device until
there is a file at the path, so that others gather behind it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

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
        for step in range(4):
            progress.step(step, 4)
            threading.Event().wait(0.05)
        while not all(is_open(order) for order in batch):
            progress.check_canceled()
            threading.Event().wait(0.05)
        if "unsocial" in batch and len(batch) > 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return [f"{order.partition(':')[0]} {len(batch)}" for order in batch]


def is_open(order: str) -> bool:
    """Whether nothing holds an order back."""
    gate = order.partition(":")[2]
    return not gate or Path(gate).exists()


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
