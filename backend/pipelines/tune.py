"""Pipeline ``tune``: run another pipeline again and again, and find its fastest settings."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from backend.catalog import (
    ImageTo3DParams,
    PipelineName,
    TunedPipeline,
    TuneParams,
    TuneStageName,
)
from backend.errors import (
    DeviceLost,
    InternalError,
    JobCanceled,
    MeshkilnError,
    OutOfMemory,
)
from backend.gpu.faults import Fault, classify
from backend.pipelines.pipeline import (
    OutputFile,
    Pipeline,
    PipelineOutcome,
    PipelineRequest,
    stage,
)
from backend.profiling.recorder import record_pipeline
from backend.profiling.spans import PipelineProfile, SpanKind
from backend.progress import ProgressSink, SilentSink
from backend.runtime_settings import in_force, recorded_reads
from backend.tuning.budget import Budget
from backend.tuning.climb import StopReason
from backend.tuning.limits import Limits
from backend.tuning.machine import processor_name
from backend.tuning.report import TuningReport, Work
from backend.tuning.run_figures import Gauge, RunFigures
from backend.tuning.search_space import Values, search_space, values_in_force
from backend.tuning.tuner import Tuner
from backend.units import MB, Clock, SystemClock

REPORT = "tuning.json"
# Not the name of the pipeline: nobody who listens to profiles may take these for its jobs.
RUN = "tuning_run"
SEED = 0
# Files that hold no compressed stream of ours: they must come out byte by byte.
SAME_FILES = ("model.glb", "model.stl", "model.ply")
SAME_COUNTS = ("vertices", "faces", "bodies")
# Simplification is free to stop a face earlier or later. Half a percent of the longest side is
# half a cell of the coarsest grid.
COUNT_TOLERANCE, SIZE_TOLERANCE = 0.01, 0.005
ROUNDED_COUNTS = ("vertices", "faces")
SIDES = ("extent_x_m", "extent_y_m", "extent_z_m")
# What engines call the time in which they compile or record something once.
WARM_UP = "warm_up"

log = logging.getLogger(__name__)


class TunePipeline:
    """Many runs in, a report of the fastest settings out.

    Parameters
    ----------
    tuned : mapping of TunedPipeline to Pipeline
        What can be tuned.
    clock : Clock, optional
        Tells when the budget is spent.
    clock_ns : callable
        Monotonic clock of the runs in nanoseconds.
    """

    name = PipelineName.TUNE

    def __init__(
        self,
        tuned: Mapping[TunedPipeline, Pipeline],
        clock: Clock | None = None,
        clock_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self._tuned = tuned
        self._clock = clock or SystemClock()
        self._clock_ns = clock_ns

    def run(self, request: PipelineRequest, sink: ProgressSink) -> PipelineOutcome:
        """Measure; raises JobCanceled, and what a run with the values in force raises."""
        params = TuneParams.model_validate(request.params.model_dump())
        budget = Budget(params.budget_s, self._clock)
        pipeline = self._tuned[params.target]
        runs = RepeatedRuns(pipeline, params, request, sink, self._clock_ns)
        limits = Limits(params.vram_limit_mb, params.latency_limit_s)
        tuner = Tuner(runs, values_in_force(), limits, budget)
        with stage(TuneStageName.REFERENCE_RUNS, sink) as progress:
            tuner.take_reference(progress.step)
        axes, left_out = search_space(uses_gpu=runs.uses_gpu, reads=runs.reads)
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


class RepeatedRuns:
    """Runs the tuned pipeline once per call, with the same picture and seed.

    Parameters
    ----------
    pipeline : Pipeline
        What is run.
    params : TuneParams
        How much work each run is.
    request : PipelineRequest
        Its inputs, and a folder where runs may write.
    sink : ProgressSink
        Asked whether to stop; told of the engines, but not of the stages of the runs.
    clock_ns : callable
        Measures the runs.

    Attributes
    ----------
    uses_gpu : bool
        Whether any run worked on a GPU.
    reads : set of str
        Names of the settings that the runs asked for.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        params: TuneParams,
        request: PipelineRequest,
        sink: ProgressSink,
        clock_ns: Callable[[], int],
    ) -> None:
        self._pipeline = pipeline
        self._params = params
        self._request = request
        self._sink = QuietSink(sink)
        self._clock_ns = clock_ns
        self._device: str | None = None
        self.uses_gpu = False
        self.reads: set[str] = set()

    def __call__(self, values: Values) -> RunFigures:
        """Run once; raises MeshkilnError, whatever went wrong."""
        out_dir = self._request.out_dir / "run"
        out_dir.mkdir()
        try:
            with (
                in_force(values),
                recorded_reads() as reads,
                record_pipeline(RUN, clock_ns=self._clock_ns) as trace,
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

    def work(self) -> Work:
        """Describe what was run so far."""
        device = self._device if self.uses_gpu else None
        return Work(
            self._params.target.value,
            self._params.preset.value,
            device or processor_name(),
            self._sink.engines,
        )

    def _run_request(self, out_dir: Path) -> PipelineRequest:
        params = ImageTo3DParams(
            preset=self._params.preset, background=self._params.background, seed=SEED
        )
        return PipelineRequest(self._request.inputs, params, out_dir)

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


def counts_of(outcome: PipelineOutcome) -> dict[str, str]:
    """Return the counts of the mesh."""
    mesh = outcome.facts.get("mesh") or {}
    return {name: str(mesh[name]) for name in SAME_COUNTS if name in mesh}


def digests_of(outcome: PipelineOutcome) -> dict[str, str]:
    """Return the digests of the files that settings must not change."""
    return {
        file.name: hashlib.sha256(file.path.read_bytes()).hexdigest()
        for file in outcome.outputs
        if file.name in SAME_FILES
    }


def gauges_of(outcome: PipelineOutcome) -> dict[str, Gauge]:
    """Return the numbers of the mesh, and how far rounding may move each.

    Counts may move by a hundredth, volume by half a percent, each side by half a percent of the
    longest one.
    """
    mesh = outcome.facts.get("mesh") or {}
    gauges = {
        name: Gauge(float(mesh[name]), COUNT_TOLERANCE * mesh[name])
        for name in ROUNDED_COUNTS
        if name in mesh
    }
    if "volume_m3" in mesh:
        gauges["volume_m3"] = Gauge(mesh["volume_m3"], SIZE_TOLERANCE * mesh["volume_m3"])
    sides_m = mesh.get("extents_m") or []
    for name, side_m in zip(SIDES, sides_m, strict=False):
        gauges[name] = Gauge(side_m, SIZE_TOLERANCE * max(sides_m))
    return gauges


def _explained(error: Exception) -> MeshkilnError:
    fault = classify(error)
    first_line = str(error).partition("\n")[0]
    if fault is Fault.CONTEXT_LOST:
        return DeviceLost(first_line)
    if fault is Fault.OUT_OF_MEMORY:
        return OutOfMemory()
    log.error("a run failed with an unexpected error", exc_info=error)
    return InternalError(f"An unexpected error ({type(error).__name__}) stopped a run.")


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
