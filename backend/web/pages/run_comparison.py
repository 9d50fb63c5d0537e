"""The form that compares two groups of runs: what it offers, what it shows, what comes out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backend.errors import InvalidParameter
from backend.profiling.comparison import Comparison, compare_runs
from backend.profiling.spans import SpanKind
from backend.web.charts.before_after import BeforeAfter, before_after

Document = Mapping[str, Any]
Sides = tuple[str | None, str | None]

SINGLE_RUNS = 20


@dataclass(frozen=True)
class ComparisonView:
    """Two groups of runs, or why they cannot be compared."""

    before: str
    after: str
    result: Comparison | None
    chart: BeforeAfter | None
    reason: str | None


def comparison_choices(runs: Sequence[Document]) -> dict[str, list[tuple[str, str]]]:
    """What may be compared: versions, settings that were not always the same, and single runs."""
    versions = version_counts(runs) if len(version_counts(runs)) > 1 else {}
    settings = Counter(text for run in runs for text in settings_in_force(run))
    varied = {text: n for text, n in settings.items() if n < len(runs)}
    singles = [(r["run"], r["started_at"][:19].replace("T", " ")) for r in runs[:SINGLE_RUNS]]
    return {
        "Versions": [(name, f"{name} ({_runs(count)})") for name, count in versions.items()],
        "Settings": [(text, f"{text} ({_runs(count)})") for text, count in sorted(varied.items())],
        "Single runs": singles,
    }


def version_counts(runs: Sequence[Document]) -> Counter[str]:
    """Count the runs of each version, the one used last first."""
    return Counter(run["version"] for run in runs if run.get("version"))


def chosen_sides(runs: Sequence[Document], asked: Sides) -> Sides:
    """What the form shows as chosen: what was asked for, or else two sides that differ.

    Parameters
    ----------
    runs : sequence of mapping
        Newest first.

    Returns
    -------
    pair of str or None
        The latest change: of the version, else of a setting, else the last two runs.
    """
    if all(asked):
        return asked
    versions = list(version_counts(runs))
    if len(versions) > 1:
        return versions[1], versions[0]
    singles = (runs[1]["run"], runs[0]["run"]) if len(runs) > 1 else (None, None)
    return _latest_change(runs) or singles


def settings_in_force(run: Document) -> list[str]:
    """Write every setting of a run as ``name=value``."""
    settings = run.get("settings") or {}
    return [
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in settings.items()
    ]


def comparison_view(runs: Sequence[Document], sides: Sides) -> ComparisonView | None:
    """Compare what the form asks for; None when it asks for nothing."""
    before, after = sides
    if not before or not after:
        return None
    try:
        result = compare_runs(_times_of(runs, before), _times_of(runs, after))
    except InvalidParameter as error:
        return ComparisonView(before, after, None, None, error.detail)
    return ComparisonView(before, after, result, before_after(result), None)


def _latest_change(runs: Sequence[Document]) -> tuple[str, str] | None:
    """The setting that was changed last, with its value before and its value now."""
    now = dict(text.split("=", 1) for text in settings_in_force(runs[0])) if runs else {}
    for run in runs:
        for text in settings_in_force(run):
            name, _, value = text.partition("=")
            if now.get(name, value) != value:
                return text, f"{name}={now[name]}"
    return None


def _times_of(runs: Sequence[Document], wanted: str) -> list[dict[str, float]]:
    chosen = [
        run for run in runs if wanted in (run["run"], run.get("version"), *settings_in_force(run))
    ]
    if not chosen:
        raise InvalidParameter(f"No finished run of this kind of work is known as {wanted}.")
    return [
        {
            stage["name"]: stage["elapsed_s"]
            for stage in run["stages"]
            if stage["kind"] != SpanKind.QUEUE and stage["elapsed_s"] is not None
        }
        for run in chosen
    ]


def _runs(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count} runs"
