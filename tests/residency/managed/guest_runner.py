"""Runs real pipelines, and calls a hosted program where the picture says so; workers name it."""

from __future__ import annotations

import os
from pathlib import Path

from backend.catalog import StageName
from backend.pipelines.catalogue import run_pipeline
from backend.pipelines.pipeline import OutputFile, PipelineOutcome, PipelineRequest, stage
from backend.progress import ProgressSink
from backend.residency.managed.managed_engine import ManagedEngine
from backend.residency.process import ProcessResidency

ORDER = b"guest "
PROGRAMS = Path(__file__).parent / "programs"
_engines: list[ManagedEngine] = []


def register(residency: ProcessResidency) -> None:
    """Host the old program in the environment that the test has made."""
    engine = ManagedEngine(
        "old_program", "old_program:OldProgram", ("versions", "hold"),
        venv=os.environ["OLD_PROGRAM_VENV"], path=[PROGRAMS], residency=residency,
    )  # fmt: skip
    _engines.append(engine)


def run_beside(name: str, request: PipelineRequest, sink: ProgressSink) -> PipelineOutcome:
    """Call the method that the picture's text names, or run the pipeline."""
    order = request.inputs["image"].read_bytes()
    if not order.startswith(ORDER):
        return run_pipeline(name, request, sink)
    method, *args = order.removeprefix(ORDER).decode().split()
    with stage(StageName.SHAPE_GENERATION, sink):
        answer = _engines[-1].call(method, args)
    result = request.out_dir / "mask.png"
    result.write_text("done")
    return PipelineOutcome([OutputFile("mask.png", "png", "mask", result)], {"answer": answer})
