"""What one run took and what came out, as far as auto-tune looks at it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from backend.tuning.search_space import Values


@dataclass(frozen=True)
class RunFigures:
    """One run.

    Parameters
    ----------
    elapsed_s : float
        Wall time of the run, without any wait for its turn.
    vram_peak_mb : float or None
        Most memory on the GPU, in MB; None if it was not measured.
    outputs : mapping of str to str
        What settings must not change, by name: counts and digests of files.
    """

    elapsed_s: float
    vram_peak_mb: float | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)


Measure = Callable[[Values], RunFigures]


def repeated_outputs(runs: Sequence[RunFigures]) -> dict[str, str]:
    """Keep what came out the same in all runs; only that can be compared.

    >>> one = RunFigures(1.0, None, {"faces": "10", "model.glb": "ab"})
    >>> two = RunFigures(1.0, None, {"faces": "10", "model.glb": "cd"})
    >>> repeated_outputs([one, two])
    {'faces': '10'}
    """
    first, *others = runs
    return {
        name: value
        for name, value in first.outputs.items()
        if all(other.outputs.get(name) == value for other in others)
    }


def changed_output(expected: Mapping[str, str], run: RunFigures) -> str | None:
    """Say what came out differently from what was expected, or None."""
    for name, value in expected.items():
        found = run.outputs.get(name)
        if found != value:
            short = (text if len(text) <= 20 else f"{text[:12]}…" for text in (value, str(found)))
            return f"The result changed: {name} is {' before and '.join(short)} with it."
    return None
