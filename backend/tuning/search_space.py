"""Which settings auto-tune may turn, and which values it may step to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from backend.runtime_settings import (
    RUNTIME_SETTINGS,
    RuntimeSetting,
    SettingName,
    Value,
    value_of,
)

Values = Mapping[str, Value]

ACTS_WHILE_IDLE = "It acts in minutes without work; these runs follow each other."
NEEDS_GPU = "These runs used no GPU."
NOTHING_READS_IT = "Nothing in these runs reads it."
NO_BATCHES = "No engine of these runs gains from batches."
NO_MODELS = "No model that can be moved took part in these runs."


@dataclass(frozen=True)
class Ability:
    """What the runs of a pipeline on this machine can judge.

    Parameters
    ----------
    uses_gpu : bool
        Whether the runs do any work on a GPU.
    reads : collection of str
        Names of the settings that the runs asked for. A setting that nobody asks for cannot change
        a run, and whether it gains something would be a question to chance.
    takes_batches : bool
        Whether an engine of theirs gains from batches.
    moves_models : bool
        Whether models take part that residency looks after.
    unusable : mapping of str to collection
        Values that cannot do here what they say, by the name of the setting: a run with one
        would only be a run with whatever stands in for it.
    """

    uses_gpu: bool
    reads: Collection[str]
    takes_batches: bool = False
    moves_models: bool = False
    unusable: Mapping[str, Collection[Value]] = field(default_factory=dict)


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
    acts_between_jobs : bool
        Whether single runs are the same with any of them.
    """

    setting: str
    title: str
    choices: tuple[Value, ...]
    acts_between_jobs: bool = False

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
    ability: Ability, known: Mapping[str, RuntimeSetting] = RUNTIME_SETTINGS
) -> tuple[list[Axis], list[LeftOut]]:
    """Tell what may be tried in runs of one pipeline on this machine.

    Parameters
    ----------
    known : mapping
        All settings that may change while the server runs; a new one joins by being there.

    Returns
    -------
    tuple
        What is tried, in this order, and what is left out with its reason. Settings of networks
        come first: where there are networks, they take most of the time. Those that act between
        jobs come last: trials of them take several runs for one.
    """
    axes, left_out = [], []
    for setting in sorted(known.values(), key=_turn):
        reason = _why_not(setting, ability)
        if reason is None:
            axes.append(_axis(setting, ability))
        else:
            left_out.append(LeftOut(setting.name.value, setting.title, reason))
    return axes, left_out


def values_in_force() -> dict[str, Value]:
    """Return the values that a run would have now, of all settings that runs can judge."""
    judged = (one.name for one in RUNTIME_SETTINGS.values() if not _acts_while_idle(one))
    return {name.value: value_of(name) for name in judged}


def _axis(setting: RuntimeSetting, ability: Ability) -> Axis:
    unusable = ability.unusable.get(setting.name, ())
    choices = tuple(choice for choice in setting.choices if choice not in unusable)
    return Axis(setting.name.value, setting.title, choices, setting.acts_between_jobs)


def _turn(setting: RuntimeSetting) -> tuple[bool, bool]:
    return setting.acts_between_jobs, not setting.changes_rounding


def _why_not(setting: RuntimeSetting, ability: Ability) -> str | None:
    if setting.needs_gpu and not ability.uses_gpu:
        return NEEDS_GPU
    if setting.name is SettingName.MAX_BATCH:
        return None if ability.takes_batches else NO_BATCHES
    if _acts_while_idle(setting):
        return ACTS_WHILE_IDLE
    if setting.settles_in_runs:
        return None if ability.moves_models else NO_MODELS
    return None if setting.name.value in ability.reads else NOTHING_READS_IT


def _acts_while_idle(setting: RuntimeSetting) -> bool:
    is_batch = setting.name is SettingName.MAX_BATCH
    return setting.acts_between_jobs and not setting.settles_in_runs and not is_batch


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Value) -> float:
    return float(value or 0)
