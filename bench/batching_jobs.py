"""Jobs of ``bench.batching``: whole pipelines in the worker's own loop, without its processes."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from PIL import Image, ImageDraw

from backend.batch_processor import BatchProcessor, get_batch_processor
from backend.catalog import ImageTo3DParams, PipelineName, StageName
from backend.jobs.claim_plan import ClaimPlan
from backend.jobs.claims import ClaimedJob
from backend.jobs.drain_loop import DrainLoop
from backend.jobs.held_jobs import HeldJob, HeldJobs
from backend.jobs.job_sink import JobSink
from backend.jobs.turns import Turns
from backend.jobs.waiting_work import WaitingKind
from backend.pipelines.pipeline import PipelineOutcome, PipelineRequest
from backend.progress import ProgressSink, SilentSink
from backend.units import SystemClock

START = datetime(2026, 11, 21, tzinfo=UTC)
KIND = WaitingKind("bench", PipelineName.IMAGE_TO_3D, "bench", False, 1, "", START, START)

T = TypeVar("T")
Runner = Callable[[str, PipelineRequest, ProgressSink], PipelineOutcome]


@dataclass(frozen=True)
class Way:
    """How jobs are run.

    Parameters
    ----------
    batch_size : int
        Jobs of a claim.
    overlap : bool
        Whether the next claim is prepared while the device computes.
    """

    batch_size: int
    overlap: bool


@dataclass
class JobRound:
    """A round of jobs, all run one way.

    Parameters
    ----------
    folder : Path
        Where pictures and results go.
    run_pipeline : callable
        Runs a pipeline by name.
    params : ImageTo3DParams
        Of every job, but for the seed.

    Attributes
    ----------
    ended_s : dict
        When each job of the round ended, on the clock of ``time.perf_counter``.
    """

    folder: Path
    run_pipeline: Runner
    params: ImageTo3DParams
    processor: BatchProcessor = field(default_factory=get_batch_processor)
    ended_s: dict[int, float] = field(default_factory=dict)

    def seconds(self, way: Way, jobs: int) -> float:
        """Run jobs; returns how long all of them took."""
        loop = self.loop(_Plans(way, jobs))
        started_s = time.perf_counter()
        loop.drain()
        elapsed_s = time.perf_counter() - started_s
        if len(self.ended_s) != jobs:
            raise RuntimeError(f"{len(self.ended_s)} of {jobs} jobs ran")
        return elapsed_s

    def loop(self, plans: Plans) -> DrainLoop:
        """Return the worker's loop for jobs that are planned so; forgets earlier ones."""
        self.ended_s = {}
        return DrainLoop(
            cast("Any", plans),
            plans.claim,
            self._run,
            lambda _job: cast("JobSink", SimpleNamespace(stage=None)),
            HeldJobs(),
            lambda: self.processor,
            SystemClock(),
        )

    def _run(self, held: HeldJob) -> None:
        number = int(held.job.id)
        out_dir = self.folder / f"out-{number}-{threading.get_ident()}"
        out_dir.mkdir(exist_ok=True)
        params = self.params.model_copy(update={"seed": number})
        request = PipelineRequest({"image": picture(self.folder, number)}, params, out_dir)
        with held.member.present() if held.member else nullcontext():
            self.run_pipeline(PipelineName.IMAGE_TO_3D, request, SilentSink())
        self.ended_s[number] = time.perf_counter()


class Plans:
    """Stands in for the queue.

    Parameters
    ----------
    jobs : int
        So many, all alike.
    """

    def __init__(self, jobs: int) -> None:
        self._left = list(range(jobs))
        self.turns = Turns()

    def claim(self, plan: ClaimPlan) -> list[ClaimedJob]:
        """Take the first ones."""
        taken, self._left = self._left[: plan.size], self._left[plan.size :]
        stages = tuple(stage.value for stage in StageName)
        return [
            ClaimedJob(str(number), PipelineName.IMAGE_TO_3D, {}, (), stages, "bench", 1)
            for number in taken
        ]


class _Plans(Plans):
    """All jobs wait from the start, and none comes late."""

    def __init__(self, way: Way, jobs: int) -> None:
        super().__init__(jobs)
        self._way = way

    def plan(self, *, beside_another: bool = False) -> ClaimPlan | None:
        """Plan the next claim."""
        if not self._left or (beside_another and not self._way.overlap):
            return None
        return ClaimPlan(KIND, min(self._way.batch_size, len(self._left)), self._way.overlap)

    def plan_late(self, _sizes: Mapping[str, int]) -> ClaimPlan | None:
        """Plan nothing: claims are of the size that is measured."""
        return None


def picture(folder: Path, number: int) -> Path:
    """Draw a figure on nothing, a little different for each number."""
    path = folder / f"picture-{number}.png"
    if not path.exists():
        image = Image.new("RGBA", (256, 256), (0, 0, 0, 0))
        draw = ImageDraw.Draw(image)
        shade = (40 * number) % 200
        draw.ellipse((96, 20, 160, 84), fill=(230, 180, shade, 255))
        draw.rounded_rectangle(
            (70 - number, 80, 186, 230), 20, fill=(40, 90 + shade // 2, 200, 255)
        )
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        path.write_bytes(buffer.getvalue())
    return path


@contextmanager
def threads_of_device(count: int) -> Iterator[None]:
    """Let torch compute on so many cores, which stand for the device."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def in_turns(ways: Sequence[T], rounds: int) -> Iterator[T]:
    """Repeat all ways, each round in another order, so that drift hits all alike."""
    for number in range(rounds):
        yield from (ways if number % 2 == 0 else tuple(reversed(ways)))
