"""The runs of auto-tune: another pipeline, again and again, with the same picture and seed."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import Protocol

from backend.batch_processor import (
    BatchedStage,
    BatchMember,
    BatchProcessor,
    gains_from_batches,
    get_batch_processor,
)
from backend.catalog import (
    CutOutParams,
    ImageTo3DParams,
    TuneParams,
    batch_key,
    pipeline_spec,
)
from backend.errors import DeviceLost, InternalError, JobCanceled, MeshkilnError, OutOfMemory
from backend.gpu.attention import unavailable_backends
from backend.gpu.faults import Fault, classify
from backend.pipelines.pipeline import Pipeline, PipelineOutcome, PipelineRequest
from backend.pipelines.policy_on_trial import follow_policy
from backend.pipelines.run_results import counts_of, digests_of, gauges_of
from backend.profiling.recorder import record_pipeline
from backend.profiling.spans import PipelineProfile, SpanKind
from backend.progress import ProgressSink, SilentSink
from backend.residency.process import ProcessResidency, current_residency
from backend.runtime_settings import SettingName, in_force, recorded_reads
from backend.tuning.machine import processor_name
from backend.tuning.report import Work
from backend.tuning.run_figures import RunFigures
from backend.tuning.search_space import Ability, Values
from backend.units import MB

# Not the name of the pipeline: nobody who listens to profiles may take these for its jobs.
RUN = "tuning_run"
SEED = 0
# What engines call the time in which they compile or record something once.
WARM_UP = "warm_up"

log = logging.getLogger(__name__)


class TunablePipeline(Pipeline, Protocol):
    """A pipeline that can tell which of its engines take batches."""

    def batched_stages(self, raw: CutOutParams) -> list[BatchedStage]:
        """Name the stages whose engines take batches or the device."""


class RepeatedRuns:
    """Runs the tuned pipeline, alone or several at once as a worker would.

    Parameters
    ----------
    pipeline : TunablePipeline
        What is run.
    params : TuneParams
        How much work each run is.
    request : PipelineRequest
        Its inputs, and a folder where runs may write.
    sink : ProgressSink
        Asked whether to stop; told of the engines, but not of the stages of the runs.
    clock_ns : callable
        Measures the runs.
    processor : callable
        Returns what makes batches; asked only where one is formed.
    residency : ProcessResidency, optional
        Where models live; that of this process unless given.

    Attributes
    ----------
    uses_gpu : bool
        Whether any run worked on a GPU.
    reads : set of str
        Names of the settings that the runs asked for.
    """

    def __init__(
        self,
        pipeline: TunablePipeline,
        params: TuneParams,
        request: PipelineRequest,
        sink: ProgressSink,
        clock_ns: Callable[[], int],
        processor: Callable[[], BatchProcessor] = get_batch_processor,
        residency: ProcessResidency | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._request = request
        self._sink = QuietSink(sink)
        self._clock_ns = clock_ns
        self._processor = processor
        self._residency = residency or current_residency()
        self._tuned = params
        self._params = ImageTo3DParams(
            preset=params.preset, background=params.background, seed=SEED
        )
        self._device: str | None = None
        self.uses_gpu = False
        self.reads: set[str] = set()

    def __call__(self, values: Values, jobs: int = 1) -> RunFigures:
        """Run so many jobs; raises MeshkilnError, whatever went wrong.

        Several jobs all wait at the beginning, and are taken in batches as large as the values
        and memory allow.
        """
        follow_policy(values, self._residency)
        with in_force(values):
            if jobs == 1:
                return self._job("run")
            started_ns = self._clock_ns()
            done: list[RunFigures] = []
            while len(done) < jobs:
                done += self._batch(values, jobs - len(done))
            return RunFigures.of_jobs((self._clock_ns() - started_ns) / 1e9, done)

    def ability(self) -> Ability:
        """Tell what the runs so far can judge."""
        gaining = [gains_from_batches(one.engine) for one in self._stages()]
        moves = self._residency.started and self._residency.enabled
        device = "cuda" if self.uses_gpu else "cpu"
        unusable = {SettingName.ATTENTION.value: unavailable_backends(device)}
        return Ability(self.uses_gpu, self.reads, any(gaining), moves, unusable)

    def work(self) -> Work:
        """Describe what was run so far."""
        device = self._device if self.uses_gpu else None
        return Work(
            self._tuned.target.value,
            self._tuned.preset.value,
            device or processor_name(),
            self._sink.engines,
        )

    def _stages(self) -> list[BatchedStage]:
        return self._pipeline.batched_stages(self._params)

    def _batch(self, values: Values, waiting: int) -> list[RunFigures]:
        """Run the next of the waiting jobs as one batch."""
        processor, most = self._processor(), int(values[SettingName.MAX_BATCH] or 1)
        alike = batch_key(self._tuned.target, self._params)
        size = processor.safe_size(self._stages(), waiting, size_class=alike, max_batch=most)
        if size == 1:
            return [self._job("run")]
        names = pipeline_spec(self._tuned.target).stages
        members = processor.members(size, names, alike)
        return together([partial(self._job, f"run-{n}", one) for n, one in enumerate(members)])

    def _job(self, folder: str, member: BatchMember | None = None) -> RunFigures:
        out_dir = self._request.out_dir / folder
        out_dir.mkdir()
        try:
            with (
                recorded_reads() as reads,
                record_pipeline(RUN, clock_ns=self._clock_ns) as trace,
                member.present() if member else nullcontext(),
            ):
                outcome = self._pipeline.run(self._run_request(out_dir), self._sink)
            self.reads |= reads
            return self._figures(trace.profile, outcome)
        except MeshkilnError:
            raise
        except Exception as error:
            raise _explained(error) from error
        finally:
            shutil.rmtree(out_dir, ignore_errors=True)

    def _run_request(self, out_dir: Path) -> PipelineRequest:
        return PipelineRequest(self._request.inputs, self._params, out_dir)

    def _figures(self, profile: PipelineProfile | None, outcome: PipelineOutcome) -> RunFigures:
        if profile is None:
            raise InternalError("A run was not measured.")
        self._device = profile.device or self._device
        on_gpu = any(span.kind in (SpanKind.GPU, SpanKind.LOAD) for span in profile.spans)
        self.uses_gpu = self.uses_gpu or (on_gpu and profile.device is not None)
        peak_mb = None if profile.peak_bytes is None else profile.peak_bytes / MB
        return RunFigures(
            profile.total_duration,
            peak_mb,
            outputs=counts_of(outcome),
            files=digests_of(outcome),
            gauges=gauges_of(outcome),
            is_warm_up=any(span.name == WARM_UP for span in profile.spans),
        )


class QuietSink(SilentSink):
    """Keeps the stages of a run to itself, and passes on that somebody asked to stop."""

    def __init__(self, outer: ProgressSink) -> None:
        self._outer = outer
        self.engines: dict[str, str] = {}

    def engine_chosen(self, role: str, engine: str) -> None:
        """Tell it once, not for every run."""
        if self.engines.get(role) != engine:
            self.engines[role] = engine
            self._outer.engine_chosen(role, engine)

    def is_canceled(self) -> bool:
        """Whether the user asked to stop the whole job."""
        return self._outer.is_canceled()


def together(jobs: Sequence[Callable[[], RunFigures]]) -> list[RunFigures]:
    """Run jobs at once, each in a thread with the settings of the caller.

    Raises
    ------
    MeshkilnError
        The gravest of what they raised, after all have ended.
    """
    done: list[RunFigures] = []
    failed: list[MeshkilnError] = []

    def run(job: Callable[[], RunFigures]) -> None:
        try:
            done.append(job())
        except MeshkilnError as error:
            failed.append(error)

    threads = [threading.Thread(target=copy_context().run, args=(run, job)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise max(failed, key=_gravity)
    return done


def _gravity(error: MeshkilnError) -> int:
    return 2 * isinstance(error, DeviceLost) + isinstance(error, JobCanceled)


def _explained(error: Exception) -> MeshkilnError:
    fault = classify(error)
    first_line = str(error).partition("\n")[0]
    if fault is Fault.CONTEXT_LOST:
        return DeviceLost(first_line)
    if fault is Fault.OUT_OF_MEMORY:
        return OutOfMemory()
    log.error("a run failed with an unexpected error", exc_info=error)
    return InternalError(f"An unexpected error ({type(error).__name__}) stopped a run.")
