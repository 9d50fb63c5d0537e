"""What do batches, grouping by model and overlap bring?

``python -m bench.batching --json FILE`` runs whole jobs in the worker's own loop, in turns:
batches of 1, 2, 4 and 8, the next claim prepared meanwhile or not, with a tiny random network
that takes true batches and with ``inflate``, which works item by item. Then jobs that trickle in
while the device is busy, and join a call that has not begun or do not. Then a mixed load of two
models of which one fits in memory, in the order of arrival and grouped.

``--only trickle`` measures that alone; so do the names of the other parts.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from backend.batch_processor import BatchProcessor
from backend.catalog import ImageTo3DParams, Preset, ShapeEngine
from backend.gpu.batch_history import BatchHistory
from backend.gpu_optimizer import GPUOptimizer
from backend.jobs.core_count import core_count
from backend.jobs.turns import LEAST_TURN_S, Turns
from backend.pipelines.catalogue import run_pipeline as run_products
from bench.batching_jobs import JobRound, Way, in_turns, threads_of_device
from bench.batching_models import MixedRun, OneModelAtATime, grouped, mixed_run, oldest_first
from bench.batching_trickle import (
    CALL_S,
    LATE,
    MORE_S,
    NOT_LATE,
    PREPARE_S,
    TrickleRun,
    run_stand_in,
    trickle_run,
)
from bench.record import Figure, report
from bench.tiny_native.runner import run_pipeline as run_tiny

SHORT_TURN_S = 2.0
PARTS = ("throughput", "trickle", "mixed")
TOLD: tuple[tuple[str, str, Callable[[TrickleRun], float]], ...] = (
    ("", "jobs per s", lambda run: run.jobs_per_s),
    (": calls", "calls", lambda run: sum(run.sizes.values())),
    (": usual wait", "s", lambda run: run.usual_wait_s),
)
NOTES = (
    "'jobs per s' are whole jobs: mask, shape, mesh, texture, files. The ratio is to one by one.",
    "On a CPU the network computes on as many cores as --device-cores says, which stand for the "
    "device; the other cores prepare and finish jobs. A CPU gains little from batches: one item "
    "keeps its cores busy. The figures show what the machinery costs and hides here, not what a "
    "GPU gains.",
    "inflate is run as a batch here to show that nothing is gained; the worker claims its jobs "
    "one by one, because the engine does not say that it gains from batches.",
    "Trickle: one job arrives after the other, further apart than a worker waits for company, at "
    "most --trickle-size in a claim. The engine only waits, as if one task did not fill a device: "
    f"{CALL_S:g} s for one and {MORE_S:g} s for each further one, after {PREPARE_S:g} s of "
    "preparation; a processor gains too little from batches to show a difference. The ratio is to "
    "where none joins late; rows tell the sizes of the calls. A wait is from arrival to end.",
    "Mixed load: weights are read from the page cache. On a GPU they cross the link as well.",
)


def main() -> None:
    """Measure and report."""
    args = _arguments()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures, rows = [], []
        with threads_of_device(args.device_cores):
            if "throughput" in args.only:
                for engine, run_pipeline in (("tiny", run_tiny), ("inflate", run_products)):
                    jobs = JobRound(folder, run_pipeline, _params(engine), _processor(folder))
                    figures += _throughput(engine, jobs, args)
                    rows.append({"engine": engine, **jobs.processor.get_batch_stats()})
            if "trickle" in args.only:
                figures += _trickle(folder, args, rows)
            if "mixed" in args.only:
                figures += _mixed(folder, args)
    settings = {
        "jobs": args.jobs,
        "rounds": args.rounds,
        "batch_sizes": args.sizes,
        "mixed_jobs": args.mixed_jobs,
        "trickle_jobs": args.trickle_jobs,
        "trickle_intervals_s": args.trickle_intervals_s,
        "trickle_size": args.trickle_size,
        "cores": core_count(),
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "device_cores": args.device_cores,
        "notes": NOTES,
    }
    report("batching", figures, settings, args.json, rows)


def _throughput(engine: str, jobs: JobRound, args: argparse.Namespace) -> list[Figure]:
    ways = [Way(size, overlap) for overlap in (False, True) for size in args.sizes]
    jobs.seconds(Way(args.sizes[-1], overlap=True), args.sizes[-1])  # warm-up
    rates: dict[Way, list[float]] = defaultdict(list)
    for way in in_turns(ways, args.rounds):
        rates[way].append(args.jobs / jobs.seconds(way, args.jobs))
    base = Figure.of("", "", rates[ways[0]]).median
    return [
        Figure.of(
            f"{engine}, batches of {way.batch_size}{', overlap' if way.overlap else ''}",
            "jobs per s",
            rates[way],
            None if way is ways[0] else base,
        )
        for way in ways
    ]


def _trickle(folder: Path, args: argparse.Namespace, rows: list[dict[str, Any]]) -> list[Figure]:
    """Return the figures; adds the sizes of the calls of each round to the rows."""
    jobs = JobRound(folder, run_stand_in, _params("stand-in"), _processor(folder))
    figures = []
    for every_s in args.trickle_intervals_s:
        runs: dict[str, list[TrickleRun]] = defaultdict(list)
        for way in in_turns((NOT_LATE, LATE), args.rounds):
            run = trickle_run(
                jobs, args.trickle_jobs, every_s, args.trickle_size, joins_late=way == LATE
            )
            runs[way].append(run)
        for way in (NOT_LATE, LATE):
            title = f"a job every {every_s:g} s, {way}"
            figures += _trickle_figures(title, runs[way], runs[NOT_LATE])
            rows.append({"trickle": title, "calls_by_size": [run.sizes for run in runs[way]]})
    return figures


def _trickle_figures(
    title: str, runs: Sequence[TrickleRun], base: Sequence[TrickleRun]
) -> list[Figure]:
    return [
        Figure.of(
            f"{title}{what}",
            unit,
            [value(run) for run in runs],
            None if runs is base else Figure.of("", "", [value(run) for run in base]).median,
        )
        for what, unit, value in TOLD
    ]


def _mixed(folder: Path, args: argparse.Namespace) -> list[Figure]:
    models = OneModelAtATime(folder)
    orders = {
        "in order": (oldest_first, LEAST_TURN_S),
        f"grouped, turns of {LEAST_TURN_S:g} s": (grouped, LEAST_TURN_S),
        f"grouped, turns of {SHORT_TURN_S:g} s": (grouped, SHORT_TURN_S),
    }
    runs: dict[str, list[MixedRun]] = defaultdict(list)
    for _ in range(args.rounds):
        for name, (choose, turn_s) in orders.items():
            runs[name].append(mixed_run(models, folder, args.mixed_jobs, choose, Turns(turn_s)))
    return [figure for name in orders for figure in _mixed_figures(name, runs, args.mixed_jobs)]


def _mixed_figures(name: str, runs: dict[str, list[MixedRun]], jobs: int) -> list[Figure]:
    first = next(iter(runs))
    base = Figure.of("", "", [jobs / run.elapsed_s for run in runs[first]]).median
    mine = runs[name]
    title = f"two models, {name}"
    return [
        Figure.of(
            title,
            "jobs per s",
            [jobs / run.elapsed_s for run in mine],
            None if name == first else base,
        ),
        Figure.of(f"{title}: loads", "loads", [run.loads for run in mine]),
        Figure.of(f"{title}: one load", "s", [run.load_s / run.loads for run in mine]),
        Figure.of(f"{title}: longest wait", "s", [run.longest_wait_s for run in mine]),
    ]


def _processor(folder: Path) -> BatchProcessor:
    """A processor that remembers in the folder, not in the user's data."""
    return BatchProcessor(GPUOptimizer(history=BatchHistory(folder / "gpu.sqlite3")))


def _params(engine: str) -> ImageTo3DParams:
    named = ShapeEngine.INFLATE if engine == "inflate" else ShapeEngine.AUTO
    return ImageTo3DParams(preset=Preset.DRAFT, engine=named)


def _arguments(given: Sequence[str] | None = None) -> Any:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--jobs", type=int, default=8, help="jobs of each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to measure")
    parser.add_argument("--trickle-jobs", type=int, default=24, help="jobs that come one by one")
    parser.add_argument("--trickle-intervals-s", type=float, nargs="+", default=[0.4, 0.6, 1.0])
    parser.add_argument("--trickle-size", type=int, default=4, help="most jobs of such a claim")
    parser.add_argument("--mixed-jobs", type=int, default=40)
    parser.add_argument(
        "--device-cores", type=int, default=max(1, core_count() // 2), help="cores of the network"
    )
    return parser.parse_args(given)


if __name__ == "__main__":
    main()
