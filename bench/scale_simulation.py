"""How many GPUs can share one queue, and what must change when it is too many?

First the costs are measured here: transactions on SQLite and on PostgreSQL, Redis commands, web
requests. Then 1 to 1,000 GPUs are simulated with these costs, every GPU always busy. What the
simulation leaves out is named in docs/scaling.md.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.record import Figure, report
from bench.scale_costs import Cost, Measured, measure_database, measure_redis
from bench.scale_model import Fleet, Load, Outcome, Setup
from bench.scale_web_costs import measure_web

GPUS = (1, 2, 5, 10, 20, 50, 75, 100, 150, 200, 300, 500, 750, 1000)
SPAN_S = 30.0
FULL = 0.9  # a shared thing that is used more than this has no room for bursts
LOADS = {"10 s jobs": Load(), "2 s jobs": Load(job_s=2.0)}
SETUPS = (
    Setup("SQLite, 1 web process", "sqlite"),
    Setup("PostgreSQL on 2 cores, 1 web process", "postgresql", 2),
    Setup("and 16 web processes", "postgresql", 2, web_processes=16),
    Setup(
        "and a store of 5 GB/s", "postgresql", 2, web_processes=16, store_mb_per_s=5000.0
    ),
    Setup(
        "and progress rows every 5 s", "postgresql", 2, web_processes=16, store_mb_per_s=5000.0,
        progress_every_s=5.0,
    ),
    Setup(
        "and PostgreSQL on 8 cores, 64 web processes, 25 GB/s", "postgresql", 8,
        web_processes=64, store_mb_per_s=25000.0, progress_every_s=5.0,
    ),
)  # fmt: skip


def simulate(
    setup: Setup, load: Load, costs: dict[str, Cost], counts: Sequence[int] = GPUS
) -> list[Outcome]:
    """Simulate a setup for each number of GPUs."""
    return [Fleet(gpus, setup, load, costs).run(SPAN_S) for gpus in counts]


def limit_of(outcomes: Sequence[Outcome]) -> tuple[int, str]:
    """The largest number of GPUs that is served well, and what is full at the next one.

    Returns
    -------
    tuple
        Number of GPUs, 0 if none is; name of the fullest shared thing, or "none" if all fit.
    """
    good = 0
    for outcome in outcomes:
        fullest = max(outcome.busy, key=lambda name: outcome.busy[name])
        if outcome.busy[fullest] > FULL or outcome.gpu_share < FULL * outcomes[0].gpu_share:
            return good, fullest
        good = outcome.gpus
    return good, "none"


def cost_figures(measured: Sequence[Measured], other: dict[str, Cost]) -> list[Figure]:
    """Every measured cost: wall time of the calls, and the share that others cannot use."""
    named = [(f"{each.database}: {kind}", cost) for each in measured
             for kind, cost in each.costs.items()]  # fmt: skip
    figures = []
    for name, cost in [*named, *other.items()]:
        figures.append(Figure.of(name, "ms", [wall_s * 1e3 for wall_s in cost.walls]))
        figures.append(Figure.of(f"{name}, CPU of the caller", "ms", [cost.client_s * 1e3]))
        if cost.has_server:
            figures.append(Figure.of(f"{name}, CPU of the server", "ms", [cost.server_s * 1e3]))
    figures += [
        Figure.of(f"{each.database}: stage writes of 4 clients", "1/s", [each.hammered_per_s])
        for each in measured
    ]
    return figures


def show(name: str, setup: Setup, outcomes: Sequence[Outcome]) -> None:
    """Print one table."""
    good, full = limit_of(outcomes)
    table = Table(
        "GPUs", "GPU time used", "jobs/s", "claim p95", "database", "redis", "store", "web",
        title=f"{name}: {setup.name} (well up to {good} GPUs, then full: {full})",
    )  # fmt: skip
    for each in outcomes:
        busy = [f"{each.busy[kind]:.0%}" for kind in ("database", "redis", "store", "web")]
        table.add_row(str(each.gpus), f"{each.gpu_share:.0%}", f"{each.jobs_per_s:.1f}",
                      f"{each.claim_p95_s * 1e3:.0f} ms", *busy)  # fmt: skip
    Console().print(table)


def main() -> None:
    """Measure, simulate and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    measured = [measure_database("sqlite"), measure_database("postgresql")]
    other = measure_redis() | measure_web()
    costs = {each.database: each.costs | other for each in measured}
    rows: list[dict[str, Any]] = []
    for name, load in LOADS.items():
        for setup in SETUPS:
            outcomes = simulate(setup, load, costs[setup.database])
            show(name, setup, outcomes)
            good, full = limit_of(outcomes)
            rows.append({
                "load": name, "setup": asdict(setup), "good_up_to_gpus": good, "then_full": full,
                "outcomes": [asdict(each) for each in outcomes],
            })  # fmt: skip
    settings = {
        "loads": {name: asdict(load) for name, load in LOADS.items()},
        "span_s": SPAN_S,
        "full": FULL,
        "load_at_end": os.getloadavg(),
    }
    report("scale_simulation", cost_figures(measured, other), settings, args.json, rows)


if __name__ == "__main__":
    main()
