"""The edits of a division by hand, in order, with undo and redo.

What is kept is the list of edits, not their result: replaying it over the engine's division takes
milliseconds, and going back is moving a cursor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from backend.errors import FieldProblem, InvalidParameter
from backend.jobs.parts.division import Division

MAX_EDITS = 500
MAX_NAME = 80
MAX_AT_ONCE = 2 * MAX_EDITS  # all of them undone, and as many others
Edit = Mapping[str, Any]


@dataclass(frozen=True)
class EditLog:
    """Edits, of which the first ``done`` are in force; the others can be redone."""

    edits: tuple[Edit, ...] = ()
    done: int = 0

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to take back."""
        return self.done > 0

    @property
    def can_redo(self) -> bool:
        """Whether an edit was taken back and nothing else came since."""
        return self.done < len(self.edits)

    def replayed(self, division: Division) -> Division:
        """Return the engine's division with all edits in force."""
        for edit in self.edits[: self.done]:
            division = apply_edit(division, edit)
        return division


class Editing:
    """A log being changed: every division on the way is at hand, so that undo costs nothing.

    Parameters
    ----------
    division : Division
        The engine's, without edits.
    log : EditLog
        Where to begin.
    """

    def __init__(self, division: Division, log: EditLog) -> None:
        self._edits = list(log.edits)
        self._divisions = [division]
        for edit in log.edits[: log.done]:
            self._divisions.append(apply_edit(self.division, edit))

    @property
    def division(self) -> Division:
        """As it is now."""
        return self._divisions[-1]

    @property
    def log(self) -> EditLog:
        """As it is now."""
        return EditLog(tuple(self._edits), len(self._divisions) - 1)

    def change(self, edit: Edit) -> None:
        """Do one more edit, or an undo or redo.

        Parameters
        ----------
        edit : mapping
            ``{"count": 8}``, ``{"merge": [2, 5]}``, ``{"split": 3}``, ``{"part": [7, 8]}`` of
            patches, ``{"rename": {"2": "wheel"}}``, ``{"undo": true}``, ``{"redo": true}``, or
            ``{"edits": [...]}`` of these.

        Raises
        ------
        InvalidParameter
            It cannot be done on this division, or is no edit.
        """
        name, value = _only_item(edit)
        if name == "edits":
            self._change_all(_edit_list(value))
        elif name in ("undo", "redo"):
            if value is not True:
                raise _wrong(name, "must be true")
            self._undo() if name == "undo" else self._redo()
        else:
            self._add({name: value})

    def _change_all(self, edits: list[Edit]) -> None:
        for edit in edits:
            if "edits" in edit:
                raise _wrong("edits", "must not contain another list")
            self.change(edit)

    def _undo(self) -> None:
        if len(self._divisions) == 1:
            raise InvalidParameter("There is nothing to undo.")
        self._divisions.pop()

    def _redo(self) -> None:
        done = len(self._divisions) - 1
        if done == len(self._edits):
            raise InvalidParameter("There is nothing to redo.")
        self._divisions.append(apply_edit(self.division, self._edits[done]))

    def _add(self, edit: Edit) -> None:
        done = len(self._divisions) - 1
        if done >= MAX_EDITS:
            raise InvalidParameter(
                f"These parts have been edited {MAX_EDITS} times, which is all that is kept.",
                advice="Take some edits back with undo.",
            )
        self._divisions.append(apply_edit(self.division, edit))
        self._edits[done:] = [edit]


def apply_edit(division: Division, edit: Edit) -> Division:
    """Return a division after one edit other than undo and redo; raises InvalidParameter."""
    name, value = _only_item(edit)
    return _EDITS[name](division, value)


def _count(division: Division, value: object) -> Division:
    return division.with_count(_integer("count", value))


def _merge(division: Division, value: object) -> Division:
    if not isinstance(value, list):
        raise _wrong("merge", "must be a list of two part numbers or more")
    return division.merged([_integer("merge", index) for index in value])


def _split(division: Division, value: object) -> Division:
    return division.split(_integer("split", value))


def _part(division: Division, value: object) -> Division:
    if not isinstance(value, list) or len(value) > division.patch_count:
        raise _wrong("part", "must be a list of patch numbers, each once")
    patches = [_integer("part", patch) for patch in value]
    if len(set(patches)) != len(patches):
        raise _wrong("part", "must be a list of patch numbers, each once")
    return division.taken(patches)


def _rename(division: Division, value: object) -> Division:
    if not isinstance(value, dict) or not value:
        raise _wrong("rename", "must be an object of part numbers and names")
    names: dict[int, str] = {}
    for key, name in value.items():
        if not (isinstance(key, str) and key.isascii() and key.isdecimal() and len(key) < 9):
            raise _wrong("rename", "must have part numbers as keys")
        if not isinstance(name, str) or len(name) > MAX_NAME:
            raise _wrong("rename", f"must have names of at most {MAX_NAME} characters")
        names[int(key)] = name
    return division.renamed(names)


_EDITS: dict[str, Callable[[Division, Any], Division]] = {
    "count": _count,
    "merge": _merge,
    "split": _split,
    "part": _part,
    "rename": _rename,
}
KNOWN = frozenset({*_EDITS, "undo", "redo", "edits"})


def _only_item(edit: Edit) -> tuple[str, Any]:
    if len(edit) != 1 or not set(edit) <= KNOWN:
        raise InvalidParameter(
            "An edit has exactly one member, one of: " + ", ".join(sorted(KNOWN)) + "."
        )
    return next(iter(edit.items()))


def _edit_list(value: object) -> list[Edit]:
    if not isinstance(value, list) or not all(isinstance(edit, dict) for edit in value):
        raise _wrong("edits", "must be a list of edits")
    if not 0 < len(value) <= MAX_AT_ONCE:
        raise _wrong("edits", f"must hold 1 to {MAX_AT_ONCE} edits")
    return value


def _integer(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(name, "must be a whole number")
    return value


def _wrong(name: str, detail: str) -> InvalidParameter:
    return InvalidParameter(f"{name}: {detail}", fields=(FieldProblem(f"/{name}", detail),))
