"""Compares what the history holds of two versions, two settings or two runs."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from backend.errors import NotFound
from backend.profiling.comparison import Comparison, compare_runs
from backend.profiling.history import RunFilter, RunHistory
from backend.profiling.run_summary import RunStatus, RunSummary
from backend.profiling.run_trends import alike

RUNS_A_SIDE = 200
SEARCHED_RUNS = 5000
NOTHING_ALIKE = "The two sides have no successful runs of like work in common."
_RUN_ID = re.compile(r"[0-9a-z]{26}")
_SETTING = re.compile(r"(?P<name>[a-z][a-z0-9_]*)=(?P<value>.*)")


class SideKind(StrEnum):
    """By what the runs of a side are chosen."""

    RUN = "run"
    SETTING = "setting"
    VERSION = "version"


@dataclass(frozen=True)
class Side:
    """The runs on one side of a comparison."""

    kind: SideKind
    value: str
    runs: tuple[RunSummary, ...]

    def to_document(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        devices = sorted({run.device for run in self.runs if run.device})
        return {
            "kind": self.kind.value,
            "value": self.value,
            "runs": len(self.runs),
            "devices": devices,
        }


@dataclass(frozen=True)
class WorkComparison:
    """One kind of work that ran on both sides."""

    pipeline: str
    shape_key: str
    comparison: Comparison

    def to_document(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {
            "pipeline": self.pipeline,
            "shape_key": self.shape_key,
            **asdict(self.comparison),
        }


def select_side(history: RunHistory, text: str) -> Side:
    """Find the runs that a text names.

    Parameters
    ----------
    text : str
        Identifier of a run, ``setting=value``, or a version of this program.

    Raises
    ------
    NotFound
        There is no run with this identifier.
    """
    if _RUN_ID.fullmatch(text):
        stored = history.run(text)
        if stored is None:
            raise NotFound("There is no such run.")
        return Side(SideKind.RUN, text, (stored.summary,))
    setting = _SETTING.fullmatch(text)
    if setting:
        recent = history.runs(RunFilter(status=RunStatus.OK, limit=SEARCHED_RUNS))
        runs = [run for run in recent if _has(run, setting["name"], setting["value"])]
        return Side(SideKind.SETTING, text, tuple(runs))
    wanted = RunFilter(version=text, status=RunStatus.OK, limit=SEARCHED_RUNS)
    return Side(SideKind.VERSION, text, tuple(history.runs(wanted)))


def compare_sides(before: Side, after: Side) -> list[WorkComparison]:
    """Compare every kind of work that ran on both sides; the most runs first.

    Only runs that succeeded and had stages count, at most the newest 200 a side.
    """
    old, new = alike(before.runs), alike(after.runs)
    found = []
    for key in old.keys() & new.keys():
        sides = _timed(old[key]), _timed(new[key])
        if all(sides):
            found.append(WorkComparison(*key, compare_runs(*sides)))
    return sorted(found, key=lambda work: (-work.comparison.total.runs_after, work.shape_key))


def comparison_document(before: Side, after: Side) -> dict[str, Any]:
    """Return a comparison JSON-ready, with a note where there is nothing to compare."""
    items = [work.to_document() for work in compare_sides(before, after)]
    return {
        "before": before.to_document(),
        "after": after.to_document(),
        "items": items,
        "note": None if items else NOTHING_ALIKE,
    }


def _timed(runs: Sequence[RunSummary]) -> list[dict[str, float]]:
    return [run.stage_seconds for run in runs if run.stages][:RUNS_A_SIDE]


def _has(run: RunSummary, name: str, value: str) -> bool:
    """Whether a setting had this value, written as text or as JSON."""
    if name not in run.settings:
        return False
    in_force = run.settings[name]
    return value in (str(in_force), json.dumps(in_force))
