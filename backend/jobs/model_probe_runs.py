"""Times the networks that a job has used, while the worker has nothing else to do."""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from backend.errors import MeshkilnError
from backend.jobs.after_job import run_of, somebody_waits
from backend.jobs.claims import ClaimedJob
from backend.jobs.evidence_models import NAME, network_settings, timed_with
from backend.jobs.measurements import MeasuredOn, Measurement, Measurements
from backend.jobs.service import JobService
from backend.jobs.settings_in_force import settings_in_force
from backend.profiling.history import RunFilter
from backend.profiling.run_summary import RunSummary, StoredRun
from backend.profiling.spans import PipelineProfile
from backend.profiling.stage_parts import StagePart, stage_parts
from backend.runtime_settings import SettingName, Value, in_force
from backend.units import iso

if TYPE_CHECKING:
    from backend.engines.compile_trial import CompiledTimes
    from backend.engines.hosted_model import HostedModel
    from backend.engines.model_probe import Compile, ModelTimes
    from backend.engines.probed_model import ProbedModel

HOST = "backend.engines.hosted_model"
KEPT = timedelta(days=1)
# What took too long is not tried again after every job.
PAUSE_S = 3600.0
# Compiling keeps a core busy for long, and is in vain if a job comes: it is tried where they come
# seldom, and not often.
QUIET = timedelta(minutes=10)
COMPILED_KEPT = timedelta(days=7)
COMPILED_AT = "compiled_at"
COMPILED_FIGURES = ("eager_s", "compiled_s", "compile_s")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Task:
    """What is to be measured after a job."""

    about: MeasuredOn
    models: list[HostedModel]
    values: dict[str, Value]
    compiles: bool
    known: Measurement | None


class ModelProbe:
    """Measures after a job, once a day for each kind of work, and gives way to any job.

    What other precisions, batches and compiled code would bring is then known from a measurement
    of the same networks on this device. A worker that has hosted no network imports nothing.

    Parameters
    ----------
    service : JobService
        Jobs and their runs.
    queue : str
        The worker's own: a job that waits in it ends the measurement.
    """

    def __init__(self, service: JobService, queue: str) -> None:
        self._service = service
        self._queue = queue
        self._measurements = Measurements(service.store.engine, service.clock)
        self._slow_at_s: dict[MeasuredOn, float] = {}

    def after(self, job: ClaimedJob) -> dict[str, Any] | None:
        """Measure the networks of a job that has just ended; no failure of it reaches the caller.

        Returns
        -------
        dict or None
            What was measured and stored; None where there was no need or no time.
        """
        if HOST not in sys.modules:
            return None
        try:
            task = self._task(job)
            return self._measure(task) if task is not None else None
        except Exception:  # a measurement that nobody asked for must not end the worker
            log.warning("the networks of job %s were not timed", job.id, exc_info=True)
            return None

    def _task(self, job: ClaimedJob) -> _Task | None:
        run = run_of(self._service, job)
        models = _models_of(run) if run is not None else []
        if run is None or not models or self._somebody_waits():
            return None
        summary = run.summary
        about = MeasuredOn(NAME, summary.pipeline, summary.shape_key, summary.device)
        if self._took_too_long(about):
            return None
        known = self._measurements.newest(about)
        if known is not None and not timed_with(known.document, summary.settings):
            known = None
        stages = {str(model.stage) for model in models}
        compiles = self._may_compile(summary, known, stages)
        if not compiles and known is not None and self._age(known.measured_at) < KEPT:
            return None
        return _Task(about, models, network_settings(summary.settings), compiles, known)

    def _measure(self, task: _Task) -> dict[str, Any] | None:
        from backend.engines.forward_timing import MOST_ROUNDS
        from backend.engines.model_probe import time_models

        compiled = self._compile(task.values) if task.compiles else None
        found = time_models(
            task.models,
            self._service.clock,
            self._somebody_waits,
            around=_as_in_the_job(task.values),
            compiled=compiled,
        )
        if not found:
            if not self._somebody_waits():
                self._slow_at_s[task.about] = self._service.clock.monotonic_s()
            return None
        document = {"settings": task.values, "stages": self._stages(task, found)}
        self._measurements.keep(task.about, document, MOST_ROUNDS)
        return document

    def _compile(self, values: Mapping[str, Value]) -> Compile:
        from backend.engines.compile_trial import compiled_times

        def compiled(model: ProbedModel) -> CompiledTimes | None:
            return compiled_times(model, values, self._service.clock, self._somebody_waits)

        return compiled

    def _stages(self, task: _Task, found: Mapping[str, ModelTimes]) -> dict[str, Any]:
        """Write what was measured; compiled code that was timed before is not forgotten."""
        before = (task.known.document.get("stages") or {}) if task.known else {}
        # A stage that there was no time for keeps what is known of it.
        stages: dict[str, Any] = dict(before)
        for stage, times in found.items():
            document = times.to_document()
            known = before.get(stage) or {}
            # A job that came meanwhile has kept it from being compiled: it is tried again.
            if task.compiles and (times.compile_s is not None or not self._somebody_waits()):
                document[COMPILED_AT] = iso(self._service.clock.now())
            elif known.get("model") == times.model:
                carried = (*COMPILED_FIGURES, COMPILED_AT)
                document |= {name: known.get(name) for name in carried}
            stages[stage] = document
        return stages

    def _may_compile(
        self, run: RunSummary, known: Measurement | None, stages: Collection[str]
    ) -> bool:
        """Whether jobs come seldom, run plain, and not all was compiled within a week."""
        if settings_in_force(self._service, run.pipeline).get(SettingName.COMPILE_MODELS):
            return False
        documents = (known.document.get("stages") or {}) if known else {}
        tried = [one.get(COMPILED_AT) for stage, one in documents.items() if stage in stages]
        recent = [at for at in tried if at and self._age(_moment(at)) < COMPILED_KEPT]
        if tried and len(recent) == len(tried):
            return False
        return self._is_quiet(run)

    def _is_quiet(self, run: RunSummary) -> bool:
        """Whether no other job ran in the ten minutes before this one."""
        newest = self._service.run_history.runs(RunFilter(limit=2, with_deep=True))
        others = [other for other in newest if other.run != run.run]
        ended = [other.started_at + timedelta(seconds=other.total_s) for other in others]
        return not ended or run.started_at - max(ended) > QUIET

    def _took_too_long(self, about: MeasuredOn) -> bool:
        """Whether it did within the last hour."""
        slow_at_s = self._slow_at_s.get(about)
        return slow_at_s is not None and self._service.clock.monotonic_s() - slow_at_s < PAUSE_S

    def _age(self, moment: datetime) -> timedelta:
        return self._service.clock.now() - moment

    def _somebody_waits(self) -> bool:
        return somebody_waits(self._service, self._queue)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _models_of(run: StoredRun) -> list[HostedModel]:
    """Pick the networks of this process that ran in the stages of a run, fast enough to be timed.

    A forward cannot be interrupted, so one that takes long is not begun: it would not be done
    three times within the time there is, and a job might wait for it.
    """
    from backend.engines.hosted_model import hosted_models
    from backend.engines.model_probe import LONGEST_FORWARD_S

    profile = PipelineProfile.from_document(run.profile)
    stages = stage_parts(profile)
    return [
        model
        for model in hosted_models()
        if model.stage in stages and _call_s(stages[model.stage], profile) <= LONGEST_FORWARD_S
    ]


def _call_s(stage: StagePart, profile: PipelineProfile) -> float:
    """Seconds of a call of a stage's networks on average; 0 where they were not counted."""
    calls = stage.work.calls
    return stage.elapsed_s(profile) / calls if calls else 0.0


@contextmanager
def _as_in_the_job(values: Mapping[str, Value]) -> Iterator[None]:
    """Put the settings of the job in force and keep its models where they are."""
    with in_force(values), _held_on_device():
        yield


@contextmanager
def _held_on_device() -> Iterator[None]:
    """Keep the models that are on the device there, so that none leaves in the middle."""
    from backend.residency.process import current_residency
    from backend.residency.states import Residence

    residency = current_residency()
    with ExitStack() as held:
        if residency.started:
            manager = residency.manager()
            with manager.table:
                found = [*manager.table.records.values()]
                names = [one.name for one in found if one.state is Residence.RESIDENT]
            for name in names:
                try:
                    held.enter_context(manager.lease(name, timeout_s=0.0))
                except MeshkilnError as error:  # it has just left: its network is not at hand
                    log.debug("%s is not held: %s", name, error)
        yield
