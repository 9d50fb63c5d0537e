"""What auto-tune tried and found, for people and for whoever puts it in force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median
from typing import Any

from backend.profiling.regression import MARGIN
from backend.runtime_settings import Value
from backend.tuning.climb import Climb
from backend.tuning.expected_result import ExpectedResult
from backend.tuning.limits import Limits
from backend.tuning.run_figures import RunFigures
from backend.tuning.search_space import LeftOut, Values
from backend.tuning.trial import CONFIDENCE, Trial, TrialVerdict


class Outcome(StrEnum):
    """What came of it."""

    BETTER = "better"
    NOTHING_BETTER = "nothing_better"
    NOT_CONFIRMED = "not_confirmed"
    NO_TIME_TO_CONFIRM = "no_time_to_confirm"


@dataclass(frozen=True)
class Work:
    """What was run, and on what.

    Parameters
    ----------
    pipeline, preset : str
        The work of each run.
    device : str
        The GPU that did it, or the processor.
    engines : mapping of str to str
        Which engine did which part.
    """

    pipeline: str
    preset: str
    device: str
    engines: Mapping[str, str]

    def to_document(self) -> dict[str, Any]:
        """Write it as what JSON can hold."""
        return {"pipeline": self.pipeline, "preset": self.preset, "device": self.device,
                "engines": dict(self.engines)}  # fmt: skip


@dataclass(frozen=True)
class TuningReport:
    """All of it.

    Parameters
    ----------
    start : mapping
        The values in force before.
    found : Climb
        The search.
    final : Trial or None
        Fresh runs of the values found against those of the start; None if they are the same, or
        if there was no chance to run them.
    reference : sequence of RunFigures
        Runs with the values of the start, without the first.
    runs : int
        How many runs were made in all.
    """

    work: Work
    start: Values
    found: Climb
    final: Trial | None
    reference: Sequence[RunFigures]
    expected: ExpectedResult
    left_out: Sequence[LeftOut]
    limits: Limits
    runs: int
    elapsed_s: float
    budget_s: float
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def outcome(self) -> Outcome:
        """Whether the values found are worth putting in force."""
        if not self.found.moved:
            return Outcome.NOTHING_BETTER
        if self.final is None or self.final.verdict is TrialVerdict.UNDECIDED:
            return Outcome.NO_TIME_TO_CONFIRM
        confirmed = self.final.verdict is TrialVerdict.FASTER
        return Outcome.BETTER if confirmed else Outcome.NOT_CONFIRMED

    @property
    def best(self) -> dict[str, Value]:
        """The values to have in force from now on: those of the start unless confirmed."""
        return dict(self.found.values if self.outcome is Outcome.BETTER else self.start)

    def to_document(self) -> dict[str, Any]:
        """Write it as what JSON can hold."""
        return {
            **self.work.to_document(),
            "outcome": self.outcome.value,
            "stopped": self.found.stopped.value,
            "start": dict(self.start),
            "best": self.best,
            "changes": self._changes(),
            "final": self.final.to_document() if self.final else None,
            "tried": [step.to_document() for step in self.found.steps],
            "left_out": [vars(one).copy() for one in self.left_out],
            "reference": self._reference(),
            "compared_outputs": self.expected.names,
            "tolerances": {n: gauge.tolerance for n, gauge in self.expected.gauges.items()},
            "runs": self.runs,
            "elapsed_s": round(self.elapsed_s, 3),
            "budget_s": self.budget_s,
            "limits": self.limits.to_document(),
            "notes": list(self.notes),
            "confidence": CONFIDENCE,
            "margin": MARGIN,
        }

    def _changes(self) -> list[dict[str, Any]]:
        titles = {step.axis.setting: step.axis.title for step in self.found.steps}
        return [
            {"setting": name, "title": titles[name], "from": self.start[name], "to": value}
            for name, value in self.best.items()
            if value != self.start[name]
        ]

    def _reference(self) -> dict[str, Any]:
        peaks_mb = [run.vram_peak_mb for run in self.reference if run.vram_peak_mb is not None]
        return {
            "runs": len(self.reference),
            "p50_s": round(median(run.elapsed_s for run in self.reference), 4),
            "vram_peak_mb": round(max(peaks_mb), 1) if peaks_mb else None,
        }
