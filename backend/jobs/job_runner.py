"""Runs one claimed job: pipeline, files, end state. Every way out is a state of the row."""

from __future__ import annotations

import errno
import importlib
import logging
import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from backend.catalog import parse_params
from backend.errors import (
    DeviceLost,
    FilesExpired,
    InternalError,
    JobCanceled,
    MeshkilnError,
    OutOfMemory,
    StorageFull,
)
from backend.gpu.faults import Fault, classify
from backend.jobs.artefacts import ArtefactStore
from backend.jobs.claims import ClaimedJob, Claims
from backend.jobs.error_documents import error_document
from backend.jobs.events import EventLog
from backend.jobs.job_sink import JobSink
from backend.jobs.live_tuning import LiveTuning
from backend.jobs.run_recording import RecordedRun, RunRecording
from backend.jobs.states import EventType, JobState
from backend.pipelines.pipeline import PipelineOutcome, PipelineRequest
from backend.progress import ProgressSink

if TYPE_CHECKING:
    from backend.batch_processor import BatchedStage, BatchMember

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
RUNNER_VARIABLE = "MESHKILN_PIPELINE_RUNNER"
DEFAULT_RUNNER = "backend.pipelines.catalogue:run_pipeline"

Runner = Callable[[str, PipelineRequest, ProgressSink], PipelineOutcome]
log = logging.getLogger(__name__)


def load_runner() -> Runner:
    """Import what runs pipelines; tests name a scripted one in MESHKILN_PIPELINE_RUNNER."""
    runner: Runner = getattr(_runner_module(), _runner_name()[1])
    return runner


def device_stages(pipeline: str, params: dict[str, Any]) -> list[BatchedStage]:
    """Name the stages of some work whose engines take batches or the device.

    The module of the runner tells with a function ``batched_stages``; without one no jobs run as
    a batch. Raises MeshkilnError where the work cannot be done at all.
    """
    find = getattr(_runner_module(), "batched_stages", None)
    found: list[BatchedStage] = (
        [] if find is None else find(pipeline, parse_params(pipeline, params))
    )
    return found


def _runner_name() -> tuple[str, str]:
    module, _, function = os.environ.get(RUNNER_VARIABLE, DEFAULT_RUNNER).partition(":")
    return module, function


def _runner_module() -> ModuleType:
    return importlib.import_module(_runner_name()[0])


@dataclass(frozen=True)
class _Ended:
    """How a job ended: None as state when the claim was lost."""

    state: JobState | None
    error: MeshkilnError | None = None


@dataclass(frozen=True)
class _Around:
    """What a job is told before it starts, and its place in a batch."""

    warning: str | None = None
    member: BatchMember | None = None


class JobRunner:
    """Runs claimed jobs; several threads may run one each.

    Parameters
    ----------
    claims, artefacts, events
        Row, files and stream of the jobs.
    run_pipeline : callable
        From ``load_runner``.
    measured : callable
        Called when the work is done; what it returns joins the facts of the job.
    recording : RunRecording, optional
        Keeps what each run took.
    tuning : LiveTuning, optional
        Says which settings each job runs with.
    """

    def __init__(
        self,
        claims: Claims,
        artefacts: ArtefactStore,
        events: EventLog,
        run_pipeline: Runner,
        measured: Callable[[ClaimedJob], dict[str, float]] = lambda _: {},
        recording: RunRecording | None = None,
        tuning: LiveTuning | None = None,
    ) -> None:
        self._claims = claims
        self._artefacts = artefacts
        self._events = events
        self._run_pipeline = run_pipeline
        self._measured = measured
        self._recording = recording
        self._tuning = tuning
        # It keeps what the job at hand runs with; jobs that run together begin one by one.
        self._tuning_lock = threading.Lock()

    def run(
        self,
        job: ClaimedJob,
        sink: JobSink,
        warning: str | None = None,
        member: BatchMember | None = None,
    ) -> JobState | None:
        """Run a job to its end; returns the state, or None when the claim was lost.

        Parameters
        ----------
        warning : str, optional
            Told with the job before it starts.
        member : BatchMember, optional
            Its place in a batch.

        Raises
        ------
        DeviceLost
            This process can do no more work on the GPU; the job is left to a fresh one.
        """
        run = self._recording.begin(job) if self._recording else None
        ended = _Ended(None)
        try:
            ended = self._to_its_end(job, sink, run, _Around(warning, member))
        finally:
            self._artefacts.drop_attempt(job.id, job.attempt)
            if run and member:
                run.batch_size = member.batch_size
            self._report(job, ended, run)
        return ended.state

    def _to_its_end(
        self, job: ClaimedJob, sink: JobSink, run: RecordedRun | None, around: _Around
    ) -> _Ended:
        try:
            sink.started()
            if around.warning:
                sink.warn(around.warning)
            outcome = self._make(job, sink, run, around.member)
            return _Ended(self._succeed(job, outcome, run.facts if run else {}))
        except JobCanceled:
            return _Ended(self._end(job, JobState.CANCELED, self._claims.mark_canceled(job)))
        except DeviceLost:
            raise
        except MeshkilnError as error:
            return _Ended(self._fail(job, error), error)
        except Exception as error:  # noqa: BLE001  the job failed, the worker must live
            told = _explain(job, error)
            return _Ended(self._fail(job, told), told)

    def _report(self, job: ClaimedJob, ended: _Ended, run: RecordedRun | None) -> None:
        """Keep what was measured, after the job has ended, so that nobody waits for it."""
        work_s = run.work_s if run else None
        if run:
            run.keep()
        if self._tuning:
            with self._tuning_lock:
                self._tuning.ended(job, ended.state, ended.error, work_s)

    def _make(
        self, job: ClaimedJob, sink: JobSink, run: RecordedRun | None, member: BatchMember | None
    ) -> PipelineOutcome:
        inputs = {}
        for name in job.inputs:
            path = self._artefacts.input_path(job.id, name)
            if path is None:
                raise FilesExpired("A file that this job was given is gone.")
            inputs[name.partition(".")[0]] = path
        out_dir = self._artefacts.work_dir(job.id, job.attempt)
        params = parse_params(job.pipeline, job.params)
        with ExitStack() as around:
            if self._tuning:
                with self._tuning_lock:
                    # A trial may have begun since this job was claimed as one of several.
                    around.enter_context(self._tuning.in_force(job, may_try=member is None))
                    if run:
                        run.note_settings()
            if run:
                around.enter_context(run.recorded())
            if member:
                around.enter_context(member.present())
            return self._run_pipeline(job.pipeline, PipelineRequest(inputs, params, out_dir), sink)

    def _succeed(
        self, job: ClaimedJob, outcome: PipelineOutcome, more: dict[str, bool]
    ) -> JobState | None:
        outputs = self._artefacts.publish(job.id, job.attempt, outcome.outputs)
        held = self._claims.finish(job, outputs, outcome.facts | self._measured(job) | more)
        if not held:
            self._artefacts.withdraw(job.id, job.attempt)
        return self._end(job, JobState.SUCCEEDED, held)

    def _fail(self, job: ClaimedJob, error: MeshkilnError) -> JobState | None:
        held = self._claims.fail(job, error)
        return self._end(job, JobState.FAILED, held, {"error": error_document(error)})

    def _end(
        self, job: ClaimedJob, state: JobState, held: bool, more: dict[str, Any] | None = None
    ) -> JobState | None:
        if not held:
            log.warning("job %s: attempt %d lost its claim", job.id, job.attempt)
            return None
        data = {"status": state.value, "attempt": job.attempt}
        self._events.publish(job.id, EventType.STATE, data | (more or {}))
        self._events.publish(job.id, EventType.END, {"status": state.value})
        return state


def _explain(job: ClaimedJob, error: Exception) -> MeshkilnError:
    """Tell memory and disk from defects; raises DeviceLost when the GPU's context is gone."""
    fault = classify(error)
    if fault is Fault.CONTEXT_LOST:
        raise DeviceLost(str(error).partition("\n")[0]) from error
    if fault is Fault.OUT_OF_MEMORY:
        log.warning("job %s ran out of memory: %s", job.id, error)
        return OutOfMemory()
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        log.warning("job %s found no space for its files: %s", job.id, error)
        return StorageFull("The disk filled up while the files were written.")
    log.error("job %s failed with an unexpected error", job.id, exc_info=error)
    return InternalError("An unexpected error stopped the job.")
