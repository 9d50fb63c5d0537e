"""Does a server that is killed at random keep its promises?

``python -m bench.chaos --jobs 2000 --kills 200 --json FILE``; without kills it tells how the
memory of each process grows. Ends with status 1 when a promise is broken.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.chaos.invariants import Violation
from bench.chaos.run import Outcome, run_chaos
from bench.record import Figure, report

RULES = (
    "lost", "stuck", "failed", "canceled", "refused", "not acknowledged", "two answers",
    "two jobs for a key", "two ends", "finished twice", "end not told", "order", "hole",
    "progress fell", "file missing", "file differs", "no outputs", "file without a row",
    "second output set",
)  # fmt: skip
SHOWN = 40


def main() -> None:
    """Run, report, and name what was broken."""
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.add_argument("--jobs", type=int, default=120)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    outcome = run_chaos(args.jobs, args.kills, args.seed)
    rows = [asdict(violation) for violation in outcome.violations]
    settings: dict[str, Any] = {
        "asked_jobs": args.jobs,
        "asked_kills": args.kills,
        "seed": args.seed,
    }
    settings |= outcome.facts() | {"processes": lasting_processes(outcome)}
    report("chaos", figures_of(outcome), settings, args.json, rows)
    for process in settings["processes"]:
        sys.stdout.write(f"{process}\n")
    for violation in outcome.violations[:SHOWN]:
        sys.stdout.write(_line(violation))
    sys.exit(1 if outcome.violations else 0)


def figures_of(outcome: Outcome) -> list[Figure]:
    """Return one figure for each rule and each kind of kill."""
    broken = Counter(violation.rule for violation in outcome.violations)
    figures = [Figure.of(f"broken: {rule}", "jobs", [broken[rule]]) for rule in RULES]
    figures += [Figure.of(f"kills: {kind}", "", [n]) for kind, n in outcome.kills.items()]
    figures.append(Figure.of("jobs acknowledged", "", [outcome.jobs]))
    figures.append(Figure.of("last kill to last end", "s", [outcome.settle_s]))
    return figures


def lasting_processes(outcome: Outcome) -> list[dict[str, Any]]:
    """Tell what each process needed that lived from the warm-up to the end."""
    return [
        {
            "process": after.kind,
            "rss_mb": round(after.rss_mb, 1),
            "rss_growth": round(after.rss_mb / before.rss_mb - 1, 4),
            "more_files": after.files - before.files,
            "more_threads": after.threads - before.threads,
        }
        for pid, before in outcome.warm.items()
        if (after := outcome.end.get(pid)) is not None
    ]


def _line(violation: Violation) -> str:
    return f"BROKEN {violation.rule}: job {violation.job_id}: {violation.detail}\n"


if __name__ == "__main__":
    main()
