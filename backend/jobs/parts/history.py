"""What is told of the versions of a job's parts: when each was kept, and what it changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from backend.jobs.parts.division import Division
from backend.jobs.parts.edits import Edit, EditLog, apply_edit
from backend.jobs.parts.versions import FIRST, KeptVersion
from backend.units import iso

_WORDS = {
    "count": ("number of parts", "number of parts"),
    "merge": ("merge", "merges"),
    "split": ("split", "splits"),
    "part": ("part of patches", "parts of patches"),
    "rename": ("rename", "renames"),
}


def history_document(division: Division, kept: Sequence[KeptVersion]) -> dict[str, Any]:
    """Write the list of versions, the newest first.

    Parameters
    ----------
    division : Division
        The engine's, which is the first version.
    kept : sequence of KeptVersion
        Rising, from the first.
    """
    before: KeptVersion | None = None
    items: list[dict[str, Any]] = []
    counts = _Counts(division)
    for version in kept:
        items.append(
            {
                "version": version.number,
                "created_at": iso(version.created_at),
                "count": counts.after(version.log),
                "note": _note(version, before),
            }
        )
        before = version
    return {"items": items[::-1]}


class _Counts:
    """Counts the parts of one version after the other.

    How many parts are left when patches are made one depends on where they were: only then is
    anything divided, and only what the version before has not in common.

    Parameters
    ----------
    division : Division
        The engine's.
    """

    def __init__(self, division: Division) -> None:
        self._edits: list[Edit] = []
        self._divisions = [division]

    def after(self, log: EditLog) -> int:
        """Count the parts after the edits that are in force."""
        if not any("part" in edit for edit in _in_force(log)):
            return part_count(log, self._divisions[0].count)
        wanted = _in_force(log)
        same = _common_length(wanted, self._edits)
        del self._edits[same:], self._divisions[same + 1 :]
        for edit in wanted[same:]:
            self._edits.append(edit)
            self._divisions.append(apply_edit(self._divisions[-1], edit))
        return self._divisions[-1].count


def part_count(log: EditLog, count: int) -> int:
    """Count the parts after the edits that are in force, without dividing anything.

    For logs in which no patches are made a part.

    >>> part_count(EditLog(({"count": 6}, {"merge": [0, 2, 3]}, {"split": 0}), 2), 4)
    4
    """
    for edit in log.edits[: log.done]:
        if "count" in edit:
            count = edit["count"]
        elif "merge" in edit:
            count -= len(edit["merge"]) - 1
        elif "split" in edit:
            count += 1
    return count


def _note(version: KeptVersion, before: KeptVersion | None) -> str:
    """Say in a few words what a version changed about the one before it."""
    if version.number == FIRST or before is None:
        return "as the job made it"
    if before.number != version.number - 1:  # the one before is no longer kept
        return f"{version.log.done} edits in all"
    mine, theirs = _in_force(version.log), _in_force(before.log)
    same = _common_length(mine, theirs)
    undone = len(theirs) - same
    told = [f"{undone} undone"] if undone else []
    kinds = Counter(next(iter(edit)) for edit in mine[same:])
    told += [_counted(kind, times) for kind, times in kinds.items()]
    return ", ".join(told) or "no change"


def _common_length(mine: Sequence[Edit], theirs: Sequence[Edit]) -> int:
    """Count the edits with which both begin."""
    same = 0
    while same < min(len(mine), len(theirs)) and mine[same] == theirs[same]:
        same += 1
    return same


def _in_force(log: EditLog) -> Sequence[Edit]:
    return log.edits[: log.done]


def _counted(kind: str, times: int) -> str:
    one, many = _WORDS[kind]
    return one if times == 1 or one == many else f"{times} {many}"
