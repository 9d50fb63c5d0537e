"""What the runs of a trial must produce: exactly the same, or the same but for rounding.

Most settings must leave every file as it is, byte for byte. Those that change the order of
floating-point operations (attention, compiled networks, chunks) cannot: the last digits of a
coordinate differ, and with them the digest of every file. They are held to the numbers of the
mesh instead, each within a stated tolerance; how many bodies there are stays exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from backend.runtime_settings import RUNTIME_SETTINGS
from backend.tuning.run_figures import Gauge, RunFigures
from backend.tuning.search_space import Values

LONGEST_SHOWN = 20


@dataclass(frozen=True)
class ExpectedResult:
    """What repeated itself in the runs with the values in force.

    Parameters
    ----------
    start : mapping
        Those values.
    outputs, files : mapping of str to str
        Counts, and digests of files.
    gauges : mapping of str to Gauge
        Numbers with their tolerance.
    """

    start: Values = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    gauges: Mapping[str, Gauge] = field(default_factory=dict)

    @classmethod
    def of(cls, start: Values, runs: Sequence[RunFigures]) -> ExpectedResult:
        """Keep what all runs have in common: a result that varies by itself proves nothing.

        Parameters
        ----------
        runs : sequence of RunFigures
            At least one.

        Examples
        --------
        >>> one = RunFigures(1.0, None, {"faces": "10"}, {"model.glb": "ab"})
        >>> two = RunFigures(1.0, None, {"faces": "10"}, {"model.glb": "cd"})
        >>> ExpectedResult.of({}, [one, two]).names
        ['faces']
        """
        first, *others = runs
        gauges = {
            name: gauge
            for name, gauge in first.gauges.items()
            if all(_allows(gauge, run.gauges.get(name)) for run in others)
        }
        return cls(
            dict(start),
            _repeated(first.outputs, [run.outputs for run in others]),
            _repeated(first.files, [run.files for run in others]),
            gauges,
        )

    @property
    def names(self) -> list[str]:
        """What is compared, without the gauges."""
        return sorted({*self.outputs, *self.files})

    def change(self, values: Values, run: RunFigures) -> str | None:
        """Say what came out otherwise than it may with these values, or None."""
        if not self._may_round(values):
            return _first_change({**self.outputs, **self.files}, {**run.outputs, **run.files})
        exact = {k: value for k, value in self.outputs.items() if k not in self.gauges}
        return _first_change(exact, run.outputs) or self._beyond_rounding(run)

    def is_rounded(self, run: RunFigures) -> bool:
        """Whether a run's result is not the same to the last digit."""
        return (
            _first_change({**self.outputs, **self.files}, {**run.outputs, **run.files}) is not None
        )

    def _may_round(self, values: Values) -> bool:
        """Whether a setting differs from the start that changes the rounding."""
        changed = (name for name, value in values.items() if self.start.get(name) != value)
        known = (RUNTIME_SETTINGS[name] for name in changed if name in RUNTIME_SETTINGS)
        return any(setting.changes_rounding for setting in known)

    def _beyond_rounding(self, run: RunFigures) -> str | None:
        for name, gauge in self.gauges.items():
            found = run.gauges.get(name)
            if not _allows(gauge, found):
                told = "missing" if found is None else f"{found.value:g}"
                return (
                    f"The result changed: {name} is {gauge.value:g} before and {told} with it, "
                    f"more than rounding explains ({gauge.tolerance:g})."
                )
        return None


def _allows(gauge: Gauge, found: Gauge | None) -> bool:
    return found is not None and gauge.allows(found.value)


def _repeated(first: Mapping[str, str], others: Sequence[Mapping[str, str]]) -> dict[str, str]:
    return {
        name: value
        for name, value in first.items()
        if all(other.get(name) == value for other in others)
    }


def _first_change(expected: Mapping[str, str], found: Mapping[str, str]) -> str | None:
    for name, value in expected.items():
        now = found.get(name)
        if now != value:
            short = (_shown(text) for text in (value, str(now)))
            return f"The result changed: {name} is {' before and '.join(short)} with it."
    return None


def _shown(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:12]}…"
