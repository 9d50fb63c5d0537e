"""What does measuring one stage cost, beside the usual ways of measuring it?

Every contender runs an empty stage in each round, in an order that changes from round to round.
OpenTelemetry takes part if it is installed (``pip install opentelemetry-sdk``).
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import importlib.metadata
import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.profiling.recorder import profile_stage, record_pipeline
from bench.record import Figure, report

ROUNDS, STAGES, SEED, DEPTH = 60, 1000, 1, 4
ON, OFF = "Meshkiln, pipeline recorded", "Meshkiln, no pipeline"

Stage = Callable[[], AbstractContextManager[Any]]
Around = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Contender:
    """One way to measure a stage.

    Parameters
    ----------
    around : callable
        Entered once per round, outside the measured time.
    depth : int
        Stages inside one another.
    """

    name: str
    stage: Stage
    around: Around = nullcontext
    depth: int = 1

    def stage_ns(self, stages: int) -> float:
        """Run empty stages; return the mean time of one in nanoseconds."""
        stage, outer = self.stage, range(stages // self.depth)
        with self.around():
            started_ns = time.perf_counter_ns()
            if self.depth == 1:
                for _ in outer:
                    with stage():
                        pass
            else:
                for _ in outer:
                    with stage(), stage(), stage(), stage():
                        pass
            elapsed_ns = time.perf_counter_ns() - started_ns
        return elapsed_ns / (len(outer) * self.depth)


@contextlib.contextmanager
def logged_stage(log: logging.Logger, name: str) -> Iterator[None]:
    """The usual helper: two clock readings and a line of log."""
    started_s = time.perf_counter()
    try:
        yield
    finally:
        log.info("%s took %.6f s", name, time.perf_counter() - started_s)


def contenders(stages: int) -> tuple[list[Contender], dict[str, str | None]]:
    """Return who takes part, and the versions of the others (None if absent)."""
    recorded = functools.partial(record_pipeline, "bench", span_limit=stages)
    stage = functools.partial(profile_stage, "stage")
    log = logging.getLogger("bench.stage")
    log.setLevel(logging.INFO)
    log.addHandler(logging.NullHandler())
    log.propagate = False
    found = [
        Contender(ON, stage, recorded),
        Contender(f"{ON}, {DEPTH} deep", stage, recorded, DEPTH),
        Contender(OFF, stage),
        Contender("nullcontext (nothing measured)", nullcontext),
        Contender("contextlib and logging", functools.partial(logged_stage, log, "stage")),
    ]
    return [*found, *_opentelemetry(), *_torch()], {
        "opentelemetry": _version("opentelemetry-api"),
        "torch": _version("torch"),
    }


def _opentelemetry() -> list[Contender]:
    """The interface alone, which measures nothing, and the SDK with a batch processor."""
    try:
        api = importlib.import_module("opentelemetry.trace")
        sdk = importlib.import_module("opentelemetry.sdk.trace")
        export = importlib.import_module("opentelemetry.sdk.trace.export")
        memory = importlib.import_module("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    except ImportError:
        return []
    provider, exporter = sdk.TracerProvider(), memory.InMemorySpanExporter()
    provider.add_span_processor(export.BatchSpanProcessor(exporter))

    @contextlib.contextmanager
    def flushed() -> Iterator[None]:
        # Otherwise its thread exports during the turn of another contender.
        yield
        provider.force_flush()
        exporter.clear()

    idle = api.NoOpTracerProvider().get_tracer("bench")
    tracer = provider.get_tracer("bench")
    return [
        Contender(
            "OpenTelemetry API without SDK",
            functools.partial(idle.start_as_current_span, "stage"),
        ),
        Contender(
            "OpenTelemetry SDK, batch processor",
            functools.partial(tracer.start_as_current_span, "stage"),
            flushed,
        ),
    ]


def _torch() -> list[Contender]:
    try:
        profiler = importlib.import_module("torch.profiler")
    except ImportError:
        return []
    stage = functools.partial(profiler.record_function, "stage")
    return [Contender("torch.profiler.record_function, profiler off", stage)]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def measure(entrants: list[Contender], rounds: int, stages: int) -> dict[str, list[float]]:
    """Run all contenders in every round, in a new order each time; nanoseconds per stage."""
    order = random.Random(SEED)
    times_ns: dict[str, list[float]] = {entrant.name: [] for entrant in entrants}
    for entrant in entrants:
        entrant.stage_ns(stages)
    for _ in range(rounds):
        for entrant in order.sample(entrants, len(entrants)):
            times_ns[entrant.name].append(entrant.stage_ns(stages))
    return times_ns


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--stages", type=int, default=STAGES, help="stages in a round")
    args = parser.parse_args()
    entrants, versions = contenders(args.stages)
    times_ns = measure(entrants, args.rounds, args.stages)
    base = Figure.of(ON, "ns", times_ns.pop(ON))
    others = [Figure.of(name, "ns", ns, base.median) for name, ns in times_ns.items()]
    report(
        "stage_overhead",
        [base, *others],
        {"rounds": args.rounds, "stages": args.stages, "seed": SEED, "versions": versions},
        args.json,
    )


if __name__ == "__main__":
    main()
