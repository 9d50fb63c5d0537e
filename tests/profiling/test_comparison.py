from __future__ import annotations

import numpy as np
import pytest

from backend.errors import InvalidParameter
from backend.profiling.comparison import Presence, compare_runs
from backend.profiling.regression import Verdict


def runs_of(n, seed, **stages_s):
    rng = np.random.default_rng(seed)
    return [
        {name: seconds * rng.lognormal(0, 0.02) for name, seconds in stages_s.items()}
        for _ in range(n)
    ]


def by_name(comparison):
    return {entry.stage: entry for entry in comparison.stages}


def test_the_stage_that_became_slower_is_named_first():
    before = runs_of(20, 1, denoise=10.0, decode=5.0, export=1.0)
    after = runs_of(20, 2, denoise=10.0, decode=8.0, export=1.0)
    found = compare_runs(before, after)
    slowest = found.stages[0]
    assert slowest.stage == "decode"
    assert slowest.change.verdict is Verdict.SLOWER
    assert slowest.change.interval.low < 1.6 < slowest.change.interval.high
    assert slowest.change.difference_s == pytest.approx(3.0, abs=0.2)
    assert slowest.share > 0.9
    others = {entry.change.verdict for entry in found.stages[1:]}
    assert others == {Verdict.NO_DIFFERENCE}
    assert found.total.verdict is Verdict.SLOWER
    assert found.total.p50_before_s == pytest.approx(16.0, rel=0.03)
    assert found.total.p50_after_s == pytest.approx(19.0, rel=0.03)


def test_differences_add_up_to_the_whole_and_shares_to_one():
    before = runs_of(12, 3, denoise=10.0, decode=5.0, load=9.0)
    after = runs_of(15, 4, denoise=8.0, decode=6.5, export=1.0)
    found = compare_runs(before, after)
    differences_s = [entry.change.difference_s for entry in found.stages]
    assert sum(differences_s) == pytest.approx(found.total.difference_s)
    assert sum(entry.share for entry in found.stages) == pytest.approx(1.0)
    assert all(0 <= entry.share <= 1 for entry in found.stages)


def test_shares_stay_sensible_where_one_stage_gains_what_another_loses():
    found = compare_runs([{"a": 4.0, "b": 2.0}], [{"a": 2.0, "b": 4.0}])
    assert found.total.difference_s == 0.0
    assert [entry.share for entry in found.stages] == [0.5, 0.5]


def test_a_stage_on_one_side_is_said_and_not_compared():
    found = compare_runs([{"a": 1.0, "old": 2.0}], [{"a": 1.0, "new": 3.0}])
    assert found.stages_with(Presence.BOTH) == ("a",)
    assert found.stages_with(Presence.ONLY_BEFORE) == ("old",)
    assert found.stages_with(Presence.ONLY_AFTER) == ("new",)
    new = by_name(found)["new"].change
    assert new.p50_before_s is None
    assert new.p50_after_s == 3.0
    assert new.difference_s == 3.0
    assert new.interval is None
    assert new.verdict is None
    assert by_name(found)["old"].change.difference_s == -2.0


def test_a_stage_of_some_runs_counts_only_where_it_ran():
    before = [{"a": 1.0, "load": 8.0}, {"a": 1.0}, {"a": 1.0}, {"a": 1.0}]
    load = by_name(compare_runs(before, [{"a": 1.0, "load": 8.0}]))["load"].change
    assert (load.runs_before, load.runs_after) == (1, 1)
    assert load.p50_before_s == load.p50_after_s == 8.0
    assert load.interval.ratio == 1.0
    assert load.difference_s == 6.0


def test_single_runs_are_too_few_for_a_verdict():
    found = compare_runs([{"a": 1.0}], [{"a": 9.0}])
    assert found.total.verdict is Verdict.TOO_FEW
    assert found.total.interval.low is None


def test_a_time_below_the_clock_has_no_ratio():
    change = compare_runs([{"a": 0.0, "b": 1.0}], [{"a": 0.1, "b": 1.0}]).stages[0].change
    assert change.interval is None
    assert change.verdict is None
    assert change.difference_s == 0.1


def test_where_nothing_moved_there_are_no_shares():
    found = compare_runs([{"a": 1.0, "b": 2.0}], [{"a": 1.0, "b": 2.0}])
    assert [entry.share for entry in found.stages] == [None, None]


def test_stages_of_equal_difference_come_by_name():
    found = compare_runs([{"b": 1.0, "a": 1.0, "c": 1.0}], [{"c": 3.0, "a": 2.0, "b": 2.0}])
    assert [entry.stage for entry in found.stages] == ["c", "a", "b"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], [{"a": 1.0}]),
        ([{"a": 1.0}], []),
        ([{}], [{"a": 1.0}]),
        ([{"a": -1.0}], [{"a": 1.0}]),
        ([{"a": 1.0}], [{"a": float("nan")}]),
    ],
    ids=["none before", "none after", "no stage", "negative", "nan"],
)
def test_what_was_not_measured_is_refused(before, after):
    with pytest.raises(InvalidParameter):
        compare_runs(before, after)
