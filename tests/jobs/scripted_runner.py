"""Pipelines for tests: slow on purpose, stuck on purpose, deadly on purpose.

A worker takes one of these when MESHKILN_PIPELINE_RUNNER names it.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from backend.catalog import StageName
from backend.errors import NoForeground
from backend.pipelines.pipeline import OutputFile, PipelineOutcome, PipelineRequest, stage
from backend.progress import ProgressSink
from backend.residency.process import current_residency

STEPS = 20
STEP_S = 0.05
HOLD = "hold"
"""A file of the data folder; while it is there no stage of ``run_slowly`` goes on."""


def run_slowly(name: str, request: PipelineRequest, sink: ProgressSink) -> PipelineOutcome:
    """The real pipeline, with a pause of a second before each stage."""
    from backend.pipelines.catalogue import run_pipeline  # 1500 modules, for this alone

    return run_pipeline(name, request, _Slow(sink))


def run_scripted(name: str, request: PipelineRequest, sink: ProgressSink) -> PipelineOutcome:
    """What to do is written in the picture's place: slow, stuck, deadly, deadly-once, failing."""
    order = request.inputs["image"].read_text()
    if order.startswith("lease "):
        return _lease(order.split()[1], request, sink)
    with stage(StageName.IMAGE_PREPROCESSING, sink) as progress:
        _obey(order, request.out_dir)
        for step in range(STEPS):
            progress.step(step + 1, STEPS)
            time.sleep(STEP_S)
    result = request.out_dir / "mask.png"
    result.write_text(f"{order} {os.getpid()}")
    return PipelineOutcome([OutputFile("mask.png", "png", "mask", result)], {"order": order})


def run_briefly(name: str, request: PipelineRequest, sink: ProgressSink) -> PipelineOutcome:
    """A hundredth of a second of nothing, for counting jobs."""
    time.sleep(0.01)
    result = request.out_dir / "mask.png"
    result.write_text("brief")
    return PipelineOutcome([OutputFile("mask.png", "png", "mask", result)], {})


def _lease(model: str, request: PipelineRequest, sink: ProgressSink) -> PipelineOutcome:
    """Hold a model for as long as twenty steps take, and run it once."""
    from tests.residency.tiny_models import TINY_MODELS

    with (
        stage(StageName.SHAPE_GENERATION, sink) as progress,
        current_residency().manager().lease(model) as network,
    ):
        output = network(TINY_MODELS[model][1]())
        for step in range(STEPS):
            progress.step(step + 1, STEPS)
            time.sleep(STEP_S)
    result = request.out_dir / "mask.png"
    result.write_text(str(float(output.detach().sum())))
    return PipelineOutcome([OutputFile("mask.png", "png", "mask", result)], {"pid": os.getpid()})


def _obey(order: str, out_dir: Path) -> None:
    if order == "failing":
        raise NoForeground("Scripted.")
    if order == "broken":
        raise ZeroDivisionError("scripted defect")
    if order == "deadly" or (order == "deadly-once" and out_dir.name == "attempt-1"):
        os.kill(os.getpid(), signal.SIGKILL)
    if order == "lost-once" and out_dir.name == "attempt-1":
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    if order == "too-large":
        raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")
    while order == "stuck":
        time.sleep(0.1)


class _Slow:
    """Passes everything on, a second late at each start of a stage, or once HOLD is gone."""

    def __init__(self, sink: ProgressSink) -> None:
        self._sink = sink

    def __getattr__(self, name: str) -> object:
        return getattr(self._sink, name)

    def stage_started(self, stage: str) -> None:
        self._sink.stage_started(stage)
        for step in range(STEPS):
            if self._sink.is_canceled():
                return
            self._sink.stage_progress(stage, step, STEPS)
            time.sleep(STEP_S)
        while _is_held() and not self._sink.is_canceled():
            time.sleep(STEP_S)


def _is_held() -> bool:
    return Path(os.environ["MESHKILN_DATA_DIR"], HOLD).exists()
