"""Pipeline ``tune``: run another pipeline again and again, and find its fastest settings."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from backend.catalog import PipelineName, TunedPipeline, TuneParams, TuneStageName
from backend.errors import JobCanceled
from backend.pipelines.pipeline import OutputFile, PipelineOutcome, PipelineRequest, stage
from backend.pipelines.policy_on_trial import policy_kept
from backend.pipelines.repeated_runs import RepeatedRuns, TunablePipeline
from backend.progress import ProgressSink
from backend.residency.process import current_residency
from backend.tuning.budget import Budget
from backend.tuning.climb import StopReason
from backend.tuning.limits import Limits
from backend.tuning.report import TuningReport
from backend.tuning.search_space import search_space, values_in_force
from backend.tuning.tuner import Tuner
from backend.units import Clock, SystemClock

REPORT = "tuning.json"


class TunePipeline:
    """Many runs in, a report of the fastest settings out.

    Parameters
    ----------
    tuned : mapping of TunedPipeline to TunablePipeline
        What can be tuned.
    clock : Clock, optional
        Tells when the budget is spent.
    clock_ns : callable
        Monotonic clock of the runs in nanoseconds.
    """

    name = PipelineName.TUNE

    def __init__(
        self,
        tuned: Mapping[TunedPipeline, TunablePipeline],
        clock: Clock | None = None,
        clock_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self._tuned = tuned
        self._clock = clock or SystemClock()
        self._clock_ns = clock_ns

    def run(self, request: PipelineRequest, sink: ProgressSink) -> PipelineOutcome:
        """Measure; raises JobCanceled, and what a run with the values in force raises."""
        with policy_kept(current_residency()):
            return self._measured(request, sink)

    def _measured(self, request: PipelineRequest, sink: ProgressSink) -> PipelineOutcome:
        params = TuneParams.model_validate(request.params.model_dump())
        budget = Budget(params.budget_s, self._clock)
        pipeline = self._tuned[params.target]
        runs = RepeatedRuns(pipeline, params, request, sink, self._clock_ns)
        limits = Limits(params.vram_limit_mb, params.latency_limit_s)
        tuner = Tuner(runs, values_in_force(), limits, budget)
        with stage(TuneStageName.REFERENCE_RUNS, sink) as progress:
            tuner.take_reference(progress.step)
        axes, left_out = search_space(runs.ability())
        with stage(TuneStageName.SETTING_TRIALS, sink) as progress:
            tuner.search(axes, progress.step)
            _tell_if_canceled(tuner.report(runs.work(), left_out), request.out_dir, sink)
        with stage(TuneStageName.FINAL_CHECK, sink) as progress:
            tuner.check(progress.step)
            report = tuner.report(runs.work(), left_out)
            _tell_if_canceled(report, request.out_dir, sink)
        for note in report.notes:
            sink.warn(note)
        output = OutputFile(REPORT, "json", "tuning", _write(report, request.out_dir))
        return PipelineOutcome([output], {"tuning": report.to_document()})


def _tell_if_canceled(report: TuningReport, out_dir: Path, sink: ProgressSink) -> None:
    """Leave the report of what was tried until then, and stop."""
    if report.found.stopped is not StopReason.CANCELED:
        return
    _write(report, out_dir)
    tried = len(report.found.steps)
    sink.warn(f"Canceled after {tried} of the comparisons; no setting was changed.")
    raise JobCanceled


def _write(report: TuningReport, out_dir: Path) -> Path:
    path = out_dir / REPORT
    path.write_text(json.dumps(report.to_document(), indent=1) + "\n")
    return path
