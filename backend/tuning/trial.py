"""Two sets of settings against each other: runs in turn, and a verdict that chance cannot give.

The order within pairs alternates (ABBA), so that what drifts slowly hits both sides alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from backend.errors import DeviceLost, JobCanceled, MeshkilnError
from backend.profiling.regression import MARGIN, RatioInterval, paired_interval
from backend.runtime_settings import RUNTIME_SETTINGS, RuntimeSetting, SettingName
from backend.tuning.expected_result import ExpectedResult
from backend.tuning.limits import Limits
from backend.tuning.run_figures import Measure, RunFigures
from backend.tuning.search_space import Values

# With noise of 10 % and settings that make no difference, one trial in 140 still calls the new
# one faster (simulated, tests/tuning/test_trial.py); five pairs would double that.
MIN_PAIRS = 6
MAX_PAIRS = 12
CONFIDENCE = 0.99
# The first runs with new settings are not counted: they may compile or load something.
MOST_WARM_UPS = 3
MOST_RUNS = MOST_WARM_UPS + 2 * MAX_PAIRS
# Jobs that wait at once while a batch size is on trial: no more than any queue often holds.
MOST_JOBS = 8
LEAST_RUNS = 1 + 2 * MIN_PAIRS


class TrialVerdict(StrEnum):
    """What a trial showed of the new settings."""

    FASTER = "faster"
    SLOWER = "slower"
    NO_DIFFERENCE = "no_difference"
    REFUSED = "refused"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Trial:
    """A finished trial.

    Parameters
    ----------
    verdict : TrialVerdict
        ``undecided`` only when time ran out.
    speed_up : RatioInterval or None
        Old time over new time, pair by pair; above 1 the new settings are faster. None before
        the first pair, without bounds before the fifth.
    reason : str or None
        Why it was refused.
    is_rounded : bool
        Whether a run with the new settings gave the same result only but for rounding.
    jobs : int
        Jobs of each run, which all waited at its beginning.
    """

    verdict: TrialVerdict
    speed_up: RatioInterval | None = None
    reason: str | None = None
    is_rounded: bool = False
    jobs: int = 1

    def to_document(self) -> dict[str, Any]:
        """Write it as what JSON can hold."""
        interval = self.speed_up
        known = interval is not None and interval.low is not None
        return {
            "verdict": self.verdict.value,
            "reason": self.reason,
            "is_rounded": self.is_rounded,
            "speed_up": interval.ratio if interval else None,
            "ci": [interval.low, interval.high] if interval and known else None,
            "pairs": interval.n_before if interval else 0,
            "jobs": self.jobs,
        }


@dataclass
class _Runs:
    """The runs of one trial so far."""

    jobs: int
    settles_in: int
    old: list[RunFigures] = field(default_factory=list)
    new: list[RunFigures] = field(default_factory=list)
    is_rounded: bool = False
    newest_is_new: bool | None = None

    def ended(self, verdict: TrialVerdict, reason: str | None = None) -> Trial:
        return Trial(verdict, self.speed_up(), reason, self.is_rounded, self.jobs)

    def speed_up(self) -> RatioInterval | None:
        pairs = min(len(self.old), len(self.new))
        if not pairs:
            return None
        old_s = [run.elapsed_s for run in self.old[:pairs]]
        new_s = [run.elapsed_s for run in self.new[:pairs]]
        return paired_interval(new_s, old_s, CONFIDENCE)


class _RefusedError(Exception):
    """The new settings cannot be used; the text says why."""


class Comparison:
    """Compares settings by measuring runs.

    Parameters
    ----------
    measure : callable
        Runs so many jobs with the given settings; raises MeshkilnError.
    limits : Limits
        What the new settings must not break, unless the old ones break it as well.
    expected : ExpectedResult
        What must come out.
    has_time : callable
        Asked before every run; when it says no, the trial ends undecided.
    """

    def __init__(
        self,
        measure: Measure,
        limits: Limits,
        expected: ExpectedResult,
        has_time: Callable[[], bool],
    ) -> None:
        self._measure = measure
        self._limits = limits
        self._expected = expected
        self._has_time = has_time

    def __call__(self, old: Values, new: Values) -> Trial:
        """Try new settings against old ones.

        Raises
        ------
        JobCanceled, DeviceLost
            Nothing more can be measured.
        MeshkilnError
            A run with the old settings failed.
        """
        runs = _Runs(jobs_compared(old, new), _settles_in(old, new))
        try:
            return runs.ended(self._verdict(old, new, runs))
        except _RefusedError as refused:
            return runs.ended(TrialVerdict.REFUSED, str(refused))

    def _verdict(self, old: Values, new: Values, runs: _Runs) -> TrialVerdict:
        if not self._is_warm(old, new, runs):
            return TrialVerdict.UNDECIDED
        for pair in range(MAX_PAIRS):
            for is_new in (False, True) if pair % 2 == 0 else (True, False):
                if not self._has_time():
                    return TrialVerdict.UNDECIDED
                self._count(new if is_new else old, runs, is_new=is_new)
            if pair + 1 >= MIN_PAIRS:
                self._check_limits(runs)
                verdict = _clear_verdict(runs.speed_up())
                if verdict is not None:
                    return verdict
        return TrialVerdict.NO_DIFFERENCE

    def _count(self, values: Values, runs: _Runs, *, is_new: bool) -> None:
        """Make a run that counts; before it those in which a change comes to show."""
        if runs.newest_is_new is not is_new:
            for _ in range(runs.settles_in):
                self._run(values, runs, is_new=is_new)
        (runs.new if is_new else runs.old).append(self._run(values, runs, is_new=is_new))

    def _run(self, values: Values, runs: _Runs, *, is_new: bool) -> RunFigures:
        runs.newest_is_new = is_new
        return self._run_new(values, runs) if is_new else self._measure(values, runs.jobs)

    def _is_warm(self, old: Values, new: Values, runs: _Runs) -> bool:
        """Run until nothing has to be made ready; this also tells early what cannot be used.

        Returns False when time is over before that.
        """
        fewest = 2 if _needs_warm_up(old, new) else 1
        for number in range(MOST_WARM_UPS):
            if not self._has_time():
                return False
            run = self._run(new, runs, is_new=True)
            if number + 1 >= fewest and not run.is_warm_up:
                break
        return True

    def _run_new(self, new: Values, runs: _Runs) -> RunFigures:
        try:
            run = self._measure(new, runs.jobs)
        except (JobCanceled, DeviceLost):
            raise
        except MeshkilnError as error:
            raise _RefusedError(f"A run with it failed: {error.detail}") from error
        for job in run.each:
            change = self._expected.change(new, job)
            if change:
                raise _RefusedError(change)
            runs.is_rounded = runs.is_rounded or self._expected.is_rounded(job)
        return run

    def _check_limits(self, runs: _Runs) -> None:
        before = self._limits.broken_by(runs.old)
        for name, reason in self._limits.broken_by(runs.new).items():
            if name not in before:
                raise _RefusedError(reason)


def jobs_compared(old: Values, new: Values) -> int:
    """Return how many jobs each run has: several where the sizes of batches differ.

    >>> jobs_compared({"max_batch": 2}, {"max_batch": 4})
    4
    >>> jobs_compared({"max_batch": 4, "decode": "dense"}, {"max_batch": 4, "decode": "dense"})
    1
    """
    sizes = [int(values.get(SettingName.MAX_BATCH) or 1) for values in (old, new)]
    return 1 if sizes[0] == sizes[1] else min(max(sizes), MOST_JOBS)


def _needs_warm_up(old: Values, new: Values) -> bool:
    """Whether a setting changes whose new value has to be made ready."""
    return any(setting.needs_warm_up for setting in _changed(old, new))


def _settles_in(old: Values, new: Values) -> int:
    """Return how many runs after a change come to show it."""
    return max((setting.settles_in_runs for setting in _changed(old, new)), default=0)


def _changed(old: Values, new: Values) -> list[RuntimeSetting]:
    names = (name for name, value in new.items() if old.get(name) != value)
    return [RUNTIME_SETTINGS[name] for name in names if name in RUNTIME_SETTINGS]


def _clear_verdict(speed_up: RatioInterval | None) -> TrialVerdict | None:
    """Tell what an interval leaves no doubt about, or None."""
    if speed_up is None or speed_up.low is None or speed_up.high is None:
        return None
    if speed_up.low > MARGIN:
        return TrialVerdict.FASTER
    if speed_up.high < 1:
        return TrialVerdict.SLOWER
    return TrialVerdict.NO_DIFFERENCE if speed_up.high < MARGIN else None
