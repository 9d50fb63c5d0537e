"""A report in words; the command line and the pages say the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.runtime_settings import Value
from backend.tuning.climb import StopReason
from backend.tuning.report import Outcome
from backend.tuning.trial import TrialVerdict

VERDICTS = {
    TrialVerdict.FASTER: "faster",
    TrialVerdict.SLOWER: "slower",
    TrialVerdict.NO_DIFFERENCE: "no clear difference",
    TrialVerdict.REFUSED: "refused",
    TrialVerdict.UNDECIDED: "not decided",
}
STOPS = {
    StopReason.NO_BETTER_NEIGHBOUR: "It stopped because no other value was faster.",
    StopReason.BUDGET_SPENT: "It stopped because the time for it was over.",
    StopReason.CANCELED: "It was canceled.",
}
OUTCOMES = {
    Outcome.BETTER: "Faster settings were found.",
    Outcome.NOTHING_BETTER: "Nothing that was tried is faster beyond doubt.",
    Outcome.NOT_CONFIRMED: "Something looked faster, but the last check did not confirm it.",
    Outcome.NO_TIME_TO_CONFIRM: "Something looked faster, but there was no time to confirm it.",
}


def verdict_words(verdict: str) -> str:
    """Say a verdict.

    >>> verdict_words("no_difference")
    'no clear difference'
    """
    return VERDICTS[TrialVerdict(verdict)]


def stop_words(stopped: str) -> str:
    """Say why the search ended."""
    return STOPS[StopReason(stopped)]


def outcome_words(outcome: str) -> str:
    """Say what came of it."""
    return OUTCOMES[Outcome(outcome)]


def speed_words(trial: Mapping[str, Any]) -> str:
    """Say how a trial's new settings compare, with its interval.

    >>> speed_words({"speed_up": 1.339, "ci": [1.31, 1.38], "pairs": 6})
    '1.34 times as fast (1.31 to 1.38, 6 pairs)'
    >>> speed_words({"speed_up": 1.2, "ci": None, "pairs": 1})
    '1.20 times as fast (1 pair)'
    >>> speed_words({"speed_up": None, "ci": None, "pairs": 0})
    'not measured'
    >>> speed_words({"speed_up": 1.5, "ci": None, "pairs": 2, "jobs": 4})
    '1.50 times as fast (2 pairs of 4 jobs)'
    """
    if trial["speed_up"] is None:
        return "not measured"
    pairs = f"{trial['pairs']} {'pair' if trial['pairs'] == 1 else 'pairs'}"
    if trial.get("jobs", 1) > 1:
        pairs += f" of {trial['jobs']} jobs"
    if trial["ci"]:
        low, high = trial["ci"]
        pairs = f"{low:.2f} to {high:.2f}, {pairs}"
    return f"{trial['speed_up']:.2f} times as fast ({pairs})"


def value_words(value: Value) -> str:
    """Write a value of a setting.

    >>> value_words(9), value_words(True), value_words(None)
    ('9', 'on', 'none')
    """
    if isinstance(value, bool):
        return "on" if value else "off"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
