"""The pipeline of the chaos test: two stages, progress, a call that takes batches, a real file.

The pauses stand for a device that computes while the processor waits. What is tested is the
bookkeeping around them.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence

from backend.batch_processor import BatchedStage, run_engine
from backend.catalog import CutOutParams, StageName
from backend.engines.engine import Needs
from backend.pipelines.pipeline import OutputFile, PipelineOutcome, PipelineRequest, stage
from backend.progress import ProgressSink, StageProgress

STEPS = 4
STEP_S = 0.01
BLOCKS = 2000  # of 32 bytes: a file of 64 kB


class Hashing:
    """Writes the hash of each picture; gains from batches as a device does."""

    name = "hashing"
    title = "Hashing"
    needs = Needs()
    batches = True

    def available(self) -> None:
        """Nothing is needed."""
        return

    def batch_key(self, params: CutOutParams) -> str:
        """All work is of one kind."""
        return ""

    def cost_key(self, params: CutOutParams) -> str:
        """All work costs the same."""
        return ""

    def run(self, batch: Sequence[bytes], progress: StageProgress) -> list[bytes]:
        """Hash each picture of the batch."""
        for step in range(STEPS):
            progress.step(step + 1, STEPS)
            threading.Event().wait(STEP_S)
        return [hashlib.sha256(picture).digest() for picture in batch]


_ENGINE = Hashing()


def batched_stages(name: str, params: CutOutParams) -> list[BatchedStage]:
    """Name the stage whose engine takes batches."""
    return [BatchedStage(StageName.SHAPE_GENERATION, _ENGINE)]


def run_hashing(name: str, request: PipelineRequest, sink: ProgressSink) -> PipelineOutcome:
    """Make a file from the picture."""
    with stage(StageName.IMAGE_PREPROCESSING, sink) as progress:
        picture = request.inputs["image"].read_bytes()
        progress.step(1, 1)
    with stage(StageName.SHAPE_GENERATION, sink) as progress:
        digest = run_engine(_ENGINE, picture, progress)
    result = request.out_dir / "model.glb"
    result.write_bytes(digest * BLOCKS)
    return PipelineOutcome([OutputFile("model.glb", "glb", "model", result)], {})
