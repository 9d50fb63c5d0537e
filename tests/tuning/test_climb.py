from __future__ import annotations

import itertools

import pytest

from backend.errors import JobCanceled
from backend.tuning.climb import StopReason, climb
from backend.tuning.search_space import Axis
from backend.tuning.trial import Trial, TrialVerdict

LEVEL = Axis("level", "Level", (1, 3, 6, 9))
THREADS = Axis("threads", "Threads", (1, 2, 4))
POLICY = Axis("policy", "Policy", ("auto", "lru", "resident"))
START = {"level": 9, "threads": 1, "policy": "auto", "other": "stays"}


class ExactReferee:
    """Knows what everything costs; a difference of 3 % is one."""

    def __init__(self, cost):
        self.cost = cost
        self.tried = []

    def __call__(self, old, new):
        self.tried.append(dict(new))
        gain = self.cost(old) / self.cost(new)
        if gain > 1.03:
            return Trial(TrialVerdict.FASTER)
        return Trial(TrialVerdict.SLOWER if gain < 0.97 else TrialVerdict.NO_DIFFERENCE)


def bowl(values):
    """Best at level 3, two threads, 'lru'; threads pay only at low levels."""
    threads = {1: 1.0, 2: 0.8, 4: 1.1}[values["threads"]]
    policy = {"auto": 1.0, "lru": 0.9, "resident": 1.2}[values["policy"]]
    level = {1: 1.2, 3: 1.0, 6: 1.4, 9: 2.0}[values["level"]]
    return level * policy * (threads if values["level"] < 6 else 1.0)


@pytest.mark.parametrize(
    "start", list(itertools.product(LEVEL.choices, THREADS.choices, POLICY.choices))
)
def test_the_best_values_are_found_from_everywhere(start):
    referee = ExactReferee(bowl)
    values = dict(zip(("level", "threads", "policy"), start, strict=True))
    found = climb([LEVEL, THREADS, POLICY], values, referee)
    assert found.values == {"level": 3, "threads": 2, "policy": "lru"}
    assert found.stopped is StopReason.NO_BETTER_NEIGHBOUR
    seen = [tuple(one.values()) for one in referee.tried]
    assert len(seen) == len(set(seen)), "nothing is tried twice"
    assert len(seen) < 36 / 2, "it is a climb, not a search of everything"


def test_values_of_other_settings_stay():
    found = climb([LEVEL], START, ExactReferee(lambda values: values["level"]))
    assert found.values == START | {"level": 1}
    assert [(step.old, step.new) for step in found.steps] == [(9, 6), (6, 3), (3, 1)]


def test_small_gains_are_passed_over_until_they_make_a_clear_one():
    cost = {9: 1.0, 6: 0.98, 3: 0.96, 1: 0.94}
    found = climb([LEVEL], {"level": 9}, ExactReferee(lambda values: cost[values["level"]]))
    verdicts = [step.trial.verdict.value for step in found.steps]
    assert verdicts == ["no_difference", "faster", "no_difference"]
    assert found.values == {"level": 3}


def test_where_nothing_differs_nothing_moves():
    found = climb([LEVEL, THREADS], START, ExactReferee(lambda _: 1.0))
    assert found.values == START
    assert not found.moved
    assert len(found.steps) == 5


def test_a_refusal_ends_its_way_only():
    def compare(old, new):
        if new["threads"] == 2:
            return Trial(TrialVerdict.REFUSED, None, "A run with it failed.")
        return ExactReferee(bowl)(old, new)

    found = climb([THREADS, LEVEL], START, compare)
    assert found.values == START | {"level": 3}
    refused = [step for step in found.steps if step.trial.verdict is TrialVerdict.REFUSED]
    assert {step.to_document()["reason"] for step in refused} == {"A run with it failed."}
    assert all(step.new != 4 for step in found.steps)


@pytest.mark.parametrize(
    ("end", "reason"),
    [("time", StopReason.BUDGET_SPENT), ("cancel", StopReason.CANCELED)],
)
def test_what_was_found_until_the_end_is_kept(end, reason):
    referee = ExactReferee(lambda values: values["level"])

    def compare(old, new):
        if len(referee.tried) == 2:
            if end == "cancel":
                raise JobCanceled
            return Trial(TrialVerdict.UNDECIDED)
        return referee(old, new)

    found = climb([LEVEL, THREADS], START, compare)
    assert found.stopped is reason
    assert found.values["level"] == 3
    assert found.moved
    assert len(found.steps) == (3 if end == "time" else 2)


def test_trials_that_may_come_are_announced_and_moves_are_told():
    announced, moves = [], []
    referee = ExactReferee(lambda values: values["level"])
    found = climb([LEVEL, THREADS], START, referee, announced.append, moves.append)
    assert announced[0] == 5
    assert announced[-1] == 1
    assert len(moves) == 3
    assert moves[-1] == found.values
