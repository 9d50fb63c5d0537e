"""Coordinate hill climbing: one setting after the other, a step only where a trial shows a gain.

It knows nothing of runs and clocks: whoever calls it brings the trial.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from backend.errors import JobCanceled
from backend.runtime_settings import Value
from backend.tuning.search_space import Axis, Values
from backend.tuning.trial import Trial, TrialVerdict

Compare = Callable[[Values, Values], Trial]
Announce = Callable[[int], None]


class StopReason(StrEnum):
    """Why the search ended."""

    NO_BETTER_NEIGHBOUR = "no_better_neighbour"
    BUDGET_SPENT = "budget_spent"
    CANCELED = "canceled"


@dataclass(frozen=True)
class Step:
    """One trial of the search: a setting, its value and the value that was tried."""

    axis: Axis
    old: Value
    new: Value
    trial: Trial

    def to_document(self) -> dict[str, Any]:
        """Write it as what JSON can hold."""
        names = {"setting": self.axis.setting, "title": self.axis.title}
        return names | {"from": self.old, "to": self.new} | self.trial.to_document()


@dataclass
class Climb:
    """What the search has found.

    Parameters
    ----------
    values : dict
        The best settings so far.
    steps : list of Step
        Everything that was tried, in order.
    stopped : StopReason
        Why it ended.
    """

    values: dict[str, Value]
    steps: list[Step] = field(default_factory=list)
    stopped: StopReason = StopReason.NO_BETTER_NEIGHBOUR

    def then(self, more: Climb) -> Climb:
        """Append a search that began where this one ended."""
        return Climb(more.values, [*self.steps, *more.steps], more.stopped)

    @property
    def moved(self) -> bool:
        """Whether any step was taken."""
        return any(step.trial.verdict is TrialVerdict.FASTER for step in self.steps)


def climb(
    axes: Sequence[Axis],
    start: Values,
    compare: Compare,
    announce: Announce = lambda _: None,
    moved: Callable[[Values], None] = lambda _: None,
) -> Climb:
    """Step from the start to better values until no neighbour is better.

    Along a setting it goes on in a direction while that gains; a value without a clear
    difference is passed over, because two small gains may make a clear one; a value that is
    slower or refused ends the direction. No set of values is tried twice.

    Parameters
    ----------
    axes : sequence of Axis
        The settings and their values.
    start : mapping
        The values in force; others than those of ``axes`` stay as they are.
    compare : callable
        Tries the second set of values against the first. ``undecided`` says that time is over.
    announce : callable
        Told before each trial how many trials there may be, this one included.
    moved : callable
        Called after each step that was taken, with the values it led to.

    Returns
    -------
    Climb
        The best values, everything tried, and why it stopped.
    """
    search = _Search(axes, Climb(dict(start)), compare, announce, moved)
    try:
        while search.go_round():
            pass
    except _TimeIsOverError:
        search.found.stopped = StopReason.BUDGET_SPENT
    except JobCanceled:
        search.found.stopped = StopReason.CANCELED
    return search.found


class _TimeIsOverError(Exception):
    """A trial could not be ended."""


class _Search:
    def __init__(
        self,
        axes: Sequence[Axis],
        found: Climb,
        compare: Compare,
        announce: Announce,
        moved: Callable[[Values], None],
    ) -> None:
        self.found = found
        self._axes = axes
        self._compare = compare
        self._announce = announce
        self._moved = moved
        # What is known of whole sets of values: a beaten one is as good as slower.
        self._known: dict[tuple[Value, ...], TrialVerdict] = {}

    def go_round(self) -> bool:
        """Visit every setting once; returns whether anything became better."""
        moves = [self._visit(axis) for axis in self._axes]
        return any(moves)

    def _visit(self, axis: Axis) -> bool:
        """Walk each way until one was worth it: what lies the other way is then behind us."""
        return any(self._walk(axis, way) for way in axis.outward(self.found.values[axis.setting]))

    def _walk(self, axis: Axis, way: Sequence[Value]) -> bool:
        moved = False
        for value in way:
            verdict = self._known.get(self._key(axis, value)) or self._try(axis, value)
            if verdict is TrialVerdict.FASTER:
                moved = True
            elif verdict is not TrialVerdict.NO_DIFFERENCE:
                break
        return moved

    def _try(self, axis: Axis, value: Value) -> TrialVerdict:
        before = self.found.values
        self._announce(self._untried())
        trial = self._compare(before, before | {axis.setting: value})
        self.found.steps.append(Step(axis, before[axis.setting], value, trial))
        if trial.verdict is TrialVerdict.UNDECIDED:
            raise _TimeIsOverError
        self._known[self._key(axis, value)] = trial.verdict
        if trial.verdict is TrialVerdict.FASTER:
            self._known[self._key(axis, before[axis.setting])] = TrialVerdict.SLOWER
            self.found.values = before | {axis.setting: value}
            self._moved(self.found.values)
        return trial.verdict

    def _untried(self) -> int:
        return sum(
            self._key(axis, value) not in self._known
            for axis in self._axes
            for way in axis.outward(self.found.values[axis.setting])
            for value in way
        )

    def _key(self, axis: Axis, value: Value) -> tuple[Value, ...]:
        values = self.found.values | {axis.setting: value}
        return tuple(values[one.setting] for one in self._axes)
