"""Which settings auto-tune may turn, and which values it may step to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from backend.runtime_settings import (
    RUNTIME_SETTINGS,
    RuntimeSetting,
    SettingName,
    Value,
    value_of,
)

Values = Mapping[str, Value]

ACTS_BETWEEN_JOBS = "It acts between jobs, so runs one after the other cannot judge it."
NEEDS_GPU = "These runs used no GPU."
NOTHING_READS_IT = "Nothing in these runs reads it."
SINGLE_RUNS = "Each run is one job; what a batch gains shows only where several wait."


@dataclass(frozen=True)
class Axis:
    """One setting and the values worth a try.

    Parameters
    ----------
    setting : str
        Its name in ``backend.runtime_settings``.
    title : str
        What it is, for people.
    choices : tuple
        The values; numbers lie in an order, names do not.
    """

    setting: str
    title: str
    choices: tuple[Value, ...]

    def outward(self, value: Value) -> list[tuple[Value, ...]]:
        """Return the ways that lead away from a value, each with its nearest value first.

        >>> Axis("threads", "Threads", (1, 2, 4)).outward(2)
        [(1,), (4,)]
        >>> Axis("threads", "Threads", (1, 2, 4, 8)).outward(3)
        [(2, 1), (4, 8)]
        >>> Axis("policy", "Policy", ("auto", "lru", "resident")).outward("lru")
        [('auto',), ('resident',)]
        """
        if not all(_is_number(one) for one in (*self.choices, value)):
            return [(choice,) for choice in self.choices if choice != value]
        at = _number(value)
        ordered = sorted(self.choices, key=_number)
        below = tuple(choice for choice in reversed(ordered) if _number(choice) < at)
        above = tuple(choice for choice in ordered if _number(choice) > at)
        return [way for way in (below, above) if way]


@dataclass(frozen=True)
class LeftOut:
    """A setting that is not tried, and why."""

    setting: str
    title: str
    reason: str


def search_space(
    *,
    uses_gpu: bool,
    reads: Collection[str],
    known: Mapping[str, RuntimeSetting] = RUNTIME_SETTINGS,
) -> tuple[list[Axis], list[LeftOut]]:
    """Tell what may be tried in runs of one pipeline on this machine.

    Parameters
    ----------
    uses_gpu : bool
        Whether the runs do any work on a GPU.
    reads : collection of str
        Names of the settings that the runs asked for. A setting that nobody asks for cannot change
        a run, and whether it gains something would be a question to chance.
    known : mapping
        All settings that may change while the server runs; a new one joins by being there.

    Returns
    -------
    tuple
        What is tried, in this order, and what is left out with its reason. Settings of networks
        come first: where there are networks, they take most of the time.
    """
    axes, left_out = [], []
    for setting in sorted(known.values(), key=lambda one: not one.changes_rounding):
        reason = _why_not(setting, uses_gpu, reads)
        if reason is None:
            axes.append(Axis(setting.name.value, setting.title, setting.choices))
        else:
            left_out.append(LeftOut(setting.name.value, setting.title, reason))
    return axes, left_out


def values_in_force() -> dict[str, Value]:
    """Return the values that a run would have now, of all settings that runs can judge."""
    judged = (one.name for one in RUNTIME_SETTINGS.values() if not one.acts_between_jobs)
    return {name.value: value_of(name) for name in judged}


def _why_not(setting: RuntimeSetting, uses_gpu: bool, reads: Collection[str]) -> str | None:
    if setting.needs_gpu and not uses_gpu:
        return NEEDS_GPU
    if setting.name is SettingName.MAX_BATCH:
        return SINGLE_RUNS
    if setting.acts_between_jobs:
        return ACTS_BETWEEN_JOBS
    return None if setting.name.value in reads else NOTHING_READS_IT


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Value) -> float:
    return float(value or 0)
