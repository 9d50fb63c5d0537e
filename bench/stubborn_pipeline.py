"""A pipeline that never asks whether it was canceled, for measuring the hard way to stop one."""

from __future__ import annotations

import threading

from backend.catalog import StageName
from backend.pipelines.pipeline import PipelineOutcome, PipelineRequest, stage
from backend.progress import ProgressSink

LONG_S = 600.0


def run_stubborn(name: str, request: PipelineRequest, sink: ProgressSink) -> PipelineOutcome:
    """Wait for something that never comes."""
    with stage(StageName.IMAGE_PREPROCESSING, sink):
        threading.Event().wait(LONG_S)
    return PipelineOutcome([], {})
