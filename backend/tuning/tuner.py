"""One auto-tune from its first run to its report: reference, search, last check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from backend.errors import JobCanceled
from backend.runtime_settings import Value
from backend.tuning.budget import Budget
from backend.tuning.climb import Climb, StopReason, climb
from backend.tuning.expected_result import ExpectedResult
from backend.tuning.limits import Limits
from backend.tuning.report import TuningReport, Work
from backend.tuning.run_figures import Measure, RunFigures
from backend.tuning.search_space import Axis, LeftOut, Values
from backend.tuning.trial import LEAST_RUNS, MOST_RUNS, Comparison, Trial, jobs_compared

# The first is not counted; two more tell which outputs come out the same every time.
REFERENCE_RUNS = 3
# At the pace of the start; some checks take more pairs than the fewest.
RESERVED_RUNS = round(1.5 * LEAST_RUNS)

ROUNDED = (
    "With what was found the model is the same but for rounding: its files differ in their last "
    "digits, its counts and its size do not differ beyond the tolerances in the report."
)

Tell = Callable[[int, int], None]
SearchSpace = tuple[Sequence[Axis], Sequence[LeftOut]]


class Tuner:
    """Holds what the three parts share; call them in their order.

    Parameters
    ----------
    measure : callable
        Runs so many jobs with the given settings.
    start : mapping
        The values in force.
    limits : Limits
        What new values must not break.
    budget : Budget
        The time for all of it; what has begun before may be included.
    """

    def __init__(self, measure: Measure, start: Values, limits: Limits, budget: Budget) -> None:
        self._measure = measure
        self._start = start
        self._limits = limits
        self._budget = budget
        self._tell: Tell = lambda done, at_most: None
        self._at_most = 0
        self._stage_runs = 0
        self.runs = 0
        self.reference: list[RunFigures] = []
        self.expected = ExpectedResult(start)
        self.found = Climb(dict(start))
        self.final: Trial | None = None

    def take_reference(self, tell: Tell) -> None:
        """Run with the values in force; raises MeshkilnError if that fails."""
        self._begin(tell, REFERENCE_RUNS)
        taken = [self._counted(self._start) for _ in range(REFERENCE_RUNS)]
        self.reference = taken[1:]
        self.expected = ExpectedResult.of(self._start, taken)

    def search(self, axes: Sequence[Axis], tell: Tell) -> Climb:
        """Climb from the values in force; ends early when time is over or somebody cancels.

        What acts between jobs comes after all else: it leaves single runs as they are, so a step
        of it is no reason to try anything else again.
        """
        self._begin(tell, 0)
        self.found = self._climb([one for one in axes if not one.acts_between_jobs])
        between = [one for one in axes if one.acts_between_jobs]
        if between and self.found.stopped is StopReason.NO_BETTER_NEIGHBOUR:
            self.found = self.found.then(self._climb(between))
        return self.found

    def check(self, tell: Tell) -> None:
        """Run what was found against the start once more, on fresh runs.

        The search picks what looked best, so its own figures flatter.
        """
        self._budget.reserved_s = 0.0
        if not self.found.moved or self.found.stopped is StopReason.CANCELED:
            return
        self._begin(tell, MOST_RUNS)
        try:
            self.final = self._comparison()(self._start, self.found.values)
        except JobCanceled:
            self.found.stopped = StopReason.CANCELED

    def report(self, work: Work, left_out: Sequence[LeftOut]) -> TuningReport:
        """Put together what was found; the reference must have been taken."""
        broken = self._limits.broken_by(self.reference).values()
        notes = [f"With the values in force before: {note}" for note in broken]
        if self.final is not None and self.final.is_rounded:
            notes.append(ROUNDED)
        return TuningReport(
            work=work,
            start=self._start,
            found=self.found,
            final=self.final,
            reference=self.reference,
            expected=self.expected,
            left_out=left_out,
            limits=self._limits,
            runs=self.runs,
            elapsed_s=self._budget.spent_s,
            budget_s=self._budget.limit_s,
            notes=notes,
        )

    def _climb(self, axes: Sequence[Axis]) -> Climb:
        start = self.found.values
        return climb(axes, start, self._comparison(), self._expect, self._keep_time)

    def _comparison(self) -> Comparison:
        return Comparison(self._counted, self._limits, self.expected, self._budget.has_time)

    def _begin(self, tell: Tell, at_most: int) -> None:
        self._tell, self._at_most, self._stage_runs = tell, at_most, 0

    def _expect(self, trials: int) -> None:
        self._at_most = self._stage_runs + trials * MOST_RUNS

    def _keep_time(self, found: Values) -> None:
        """After a step the last check will be needed: keep its time back."""
        jobs = jobs_compared(self._start, found)
        run_s = median(run.elapsed_s for run in self.reference)
        self._budget.reserved_s = RESERVED_RUNS * jobs * run_s

    def _counted(self, values: Values, jobs: int = 1) -> RunFigures:
        figures = self._measure(dict[str, Value](values), jobs)
        self.runs += 1
        self._stage_runs += 1
        self._tell(self._stage_runs, max(self._at_most, self._stage_runs))
        return figures
