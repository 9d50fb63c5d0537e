from __future__ import annotations

import pytest

from backend.errors import DeviceLost, JobCanceled, MeshInvalid, OutOfMemory
from backend.tuning.expected_result import ExpectedResult
from backend.tuning.limits import Limits
from backend.tuning.run_figures import Gauge, RunFigures
from backend.tuning.trial import (
    MAX_PAIRS,
    MIN_PAIRS,
    MOST_WARM_UPS,
    Comparison,
    TrialVerdict,
)
from tests.tuning.noisy_machine import OUTPUTS, NoisyMachine

OLD, NEW = {"level": 9}, {"level": 1}
TRIALS = 200


def compare(machine, limits=None, has_time=lambda: True, old=OLD, new=NEW):
    expected = ExpectedResult(old, OUTPUTS)
    return Comparison(machine, limits or Limits(), expected, has_time)(old, new)


def costs(new_s, old_s=1.0):
    return lambda values: old_s if values == OLD else new_s


def verdicts(gain, variation, trials=TRIALS):
    machines = [NoisyMachine(costs(1 / gain), variation, seed) for seed in range(trials)]
    return [compare(machine).verdict for machine in machines]


def test_runs_alternate_and_the_first_is_not_counted():
    machine = NoisyMachine(costs(0.5))
    trial = compare(machine)
    letters = "".join("A" if values == OLD else "B" for values in machine.ran)
    assert letters == "B" + ("ABBA" * MIN_PAIRS)[: 2 * MIN_PAIRS]
    assert trial.verdict is TrialVerdict.FASTER
    assert trial.speed_up.ratio == pytest.approx(2.0)
    assert trial.speed_up.n_before == MIN_PAIRS


COMPILE_OFF, COMPILE_ON = {"compile_models": False}, {"compile_models": True}


def compiling(slow_runs, span=True):
    """A machine that compiles in the first runs with the new value; returns it and its log."""
    ran = []

    def measure(values, jobs=1):
        is_new = values == COMPILE_ON
        first = is_new and ran.count("new") < slow_runs
        ran.append("new" if is_new else "old")
        if first:
            return RunFigures(30.0, None, OUTPUTS, is_warm_up=span)
        return RunFigures(0.5 if is_new else 1.0, None, OUTPUTS)

    return measure, ran


@pytest.mark.parametrize(("slow_runs", "span"), [(1, True), (2, False), (2, True), (3, True)])
def test_what_compiling_costs_once_is_not_held_against_it(slow_runs, span):
    measure, ran = compiling(slow_runs, span)
    trial = compare(measure, old=COMPILE_OFF, new=COMPILE_ON)
    assert trial.verdict is TrialVerdict.FASTER
    assert trial.speed_up.ratio == pytest.approx(2.0)
    uncounted = ran.index("old")
    assert 2 <= uncounted <= MOST_WARM_UPS


def test_what_is_made_ready_in_every_run_is_counted_in_the_end():
    measure, ran = compiling(99)
    assert compare(measure, old=COMPILE_OFF, new=COMPILE_ON).verdict is TrialVerdict.SLOWER
    assert ran.index("old") == MOST_WARM_UPS


def test_compiling_may_use_the_time_up():
    measure, ran = compiling(3)
    trial = compare(measure, has_time=lambda: len(ran) < 2, old=COMPILE_OFF, new=COMPILE_ON)
    assert trial.verdict is TrialVerdict.UNDECIDED
    assert ran == ["new", "new"]


def test_a_steady_drift_of_the_machine_is_not_taken_for_a_gain():
    """Every run takes 4 % longer than the one before: as much as a setting might gain."""
    taken = []

    def measure(values, jobs=1):
        taken.append(values)
        return RunFigures(1.04 ** len(taken), None, OUTPUTS)

    assert compare(measure).verdict is TrialVerdict.NO_DIFFERENCE


def test_noise_of_a_tenth_is_called_a_gain_in_less_than_one_of_a_hundred_trials():
    found = verdicts(gain=1.0, variation=0.1)
    assert found.count(TrialVerdict.FASTER) <= 0.01 * TRIALS
    assert TrialVerdict.REFUSED not in found


@pytest.mark.parametrize(("gain", "variation", "share"), [(1.1, 0.03, 0.9), (1.4, 0.1, 0.95)])
def test_a_real_gain_is_found(gain, variation, share):
    found = verdicts(gain, variation, trials=100)
    assert found.count(TrialVerdict.FASTER) >= share * 100


def test_a_gain_below_three_percent_is_none():
    trial = compare(NoisyMachine(costs(1 / 1.02)))
    assert trial.verdict is TrialVerdict.NO_DIFFERENCE


def test_a_loss_is_told_early():
    machine = NoisyMachine(costs(1.3), 0.03)
    assert compare(machine).verdict is TrialVerdict.SLOWER
    assert len(machine.ran) == 1 + 2 * MIN_PAIRS


def test_what_stays_unclear_ends_without_a_difference():
    times_s = iter([1.0, *[0.7, 1.4] * MAX_PAIRS])

    def measure(values, jobs=1):
        return RunFigures(next(times_s) if values == NEW else 1.0, None, OUTPUTS)

    trial = compare(measure)
    assert trial.verdict is TrialVerdict.NO_DIFFERENCE
    assert trial.speed_up.n_before == MAX_PAIRS


@pytest.mark.parametrize("error", [MeshInvalid("It is open."), OutOfMemory()])
def test_values_that_fail_are_refused_with_the_reason(error):
    def measure(values, jobs=1):
        if values == NEW:
            raise error
        return RunFigures(1.0, None, OUTPUTS)

    trial = compare(measure)
    assert trial.verdict is TrialVerdict.REFUSED
    assert error.detail in trial.reason
    assert trial.speed_up is None


@pytest.mark.parametrize("error", [JobCanceled(), DeviceLost()])
def test_some_failures_end_everything(error):
    def measure(values, jobs=1):
        raise error

    with pytest.raises(type(error)):
        compare(measure)


def test_a_failure_with_the_old_values_is_not_blamed_on_the_new_ones():
    def measure(values, jobs=1):
        if values == OLD:
            raise MeshInvalid
        return RunFigures(1.0, None, OUTPUTS)

    with pytest.raises(MeshInvalid):
        compare(measure)


def test_values_that_change_the_result_are_refused_before_anything_is_compared():
    ran = []

    def measure(values, jobs=1):
        ran.append(values)
        return RunFigures(0.1, None, OUTPUTS | {"faces": "99"} if values == NEW else OUTPUTS)

    trial = compare(measure)
    assert trial.verdict is TrialVerdict.REFUSED
    assert "faces" in trial.reason
    assert ran == [NEW]


@pytest.mark.parametrize(
    ("setting", "verdict"),
    [("attention", TrialVerdict.FASTER), ("export_threads", TrialVerdict.REFUSED)],
)
def test_only_a_setting_that_rounds_may_change_the_last_digits(setting, verdict):
    old, new = {setting: "a"}, {setting: "b"}

    def measure(values, jobs=1):
        digest = "bb" if values == new else "aa"
        gauges = {"volume_m3": Gauge(0.5001 if values == new else 0.5, 0.001)}
        elapsed_s = 0.5 if values == new else 1.0
        return RunFigures(elapsed_s, None, {}, {"model.glb": digest}, gauges)

    expected = ExpectedResult.of(old, [measure(old)])
    trial = Comparison(measure, Limits(), expected, lambda: True)(old, new)
    assert trial.verdict is verdict
    assert trial.is_rounded is (verdict is TrialVerdict.FASTER)
    assert trial.to_document()["is_rounded"] is trial.is_rounded


def test_faster_values_that_take_too_much_memory_are_refused():
    def measure(values, jobs=1):
        is_new = values == NEW
        return RunFigures(0.5 if is_new else 1.0, 900.0 if is_new else 500.0, OUTPUTS)

    trial = compare(measure, Limits(vram_mb=800))
    assert trial.verdict is TrialVerdict.REFUSED
    assert "900 MB" in trial.reason
    assert trial.speed_up.ratio == pytest.approx(2.0), "what was measured is told all the same"


def test_values_above_the_limit_of_time_are_refused():
    trial = compare(NoisyMachine(costs(1.2)), Limits(latency_s=1.1))
    assert trial.verdict is TrialVerdict.REFUSED


def test_a_limit_that_is_broken_already_does_not_forbid_a_gain():
    trial = compare(NoisyMachine(costs(2.0, old_s=3.0)), Limits(latency_s=1.0))
    assert trial.verdict is TrialVerdict.FASTER


def test_without_time_nothing_is_decided_and_nothing_more_runs():
    machine = NoisyMachine(costs(0.5))
    trial = compare(machine, has_time=lambda: machine.clock.at_s < 3.2)
    assert trial.verdict is TrialVerdict.UNDECIDED
    assert trial.to_document() | {"speed_up": 2.0} == {
        "verdict": "undecided", "reason": None, "speed_up": 2.0, "ci": None, "pairs": 2,
        "is_rounded": False, "jobs": 1,
    }  # fmt: skip
    assert compare(NoisyMachine(costs(0.5)), has_time=lambda: False).speed_up is None


def batches(overhead_s, each_s):
    """A machine whose batches take an overhead and a time for each of their jobs."""
    ran = []

    def measure(values, jobs=1):
        ran.append((values["max_batch"], jobs))
        left, done, total_s = jobs, [], 0.0
        while left:
            size = min(left, values["max_batch"])
            batch_s = overhead_s + each_s * size
            done += [RunFigures(batch_s, 100.0 * size, OUTPUTS)] * size
            total_s, left = total_s + batch_s, left - size
        return RunFigures.of_jobs(total_s, done)

    return measure, ran


def test_sizes_of_batches_are_judged_by_as_many_jobs_as_the_larger_one_takes():
    measure, ran = batches(overhead_s=1.0, each_s=0.1)
    trial = compare(measure, old={"max_batch": 2}, new={"max_batch": 4})
    assert (trial.verdict, trial.jobs) == (TrialVerdict.FASTER, 4)
    assert trial.speed_up.ratio == pytest.approx(2 * 1.2 / 1.4)
    assert set(ran) == {(2, 4), (4, 4)}
    assert trial.to_document()["jobs"] == 4


def test_a_batch_that_gains_nothing_is_not_taken():
    measure, _ = batches(overhead_s=0.0, each_s=1.0)
    trial = compare(measure, old={"max_batch": 1}, new={"max_batch": 2})
    assert trial.verdict is TrialVerdict.NO_DIFFERENCE


@pytest.mark.parametrize(
    ("limits", "told"),
    [(Limits(latency_s=1.3), "Half of the runs took longer than 1.40 s"),
     (Limits(vram_mb=300), "A run held 400 MB")],
)  # fmt: skip
def test_a_batch_must_not_make_its_jobs_too_slow_or_too_large(limits, told):
    measure, _ = batches(overhead_s=1.0, each_s=0.1)
    trial = compare(measure, limits, old={"max_batch": 2}, new={"max_batch": 4})
    assert trial.verdict is TrialVerdict.REFUSED
    assert told in trial.reason


def test_every_job_of_a_batch_must_come_out_as_before():
    def measure(values, jobs=1):
        good = RunFigures(1.0, None, OUTPUTS)
        bad = RunFigures(1.0, None, OUTPUTS | {"faces": "99"})
        return RunFigures.of_jobs(1.0, [good, bad if values["max_batch"] == 2 else good])

    trial = compare(measure, old={"max_batch": 1}, new={"max_batch": 2})
    assert trial.verdict is TrialVerdict.REFUSED
    assert "faces is 100 before and 99 with it" in trial.reason


def test_what_acts_between_runs_is_judged_after_it_has_settled():
    """A model that was released costs the next run four seconds, whatever is in force then."""
    policies, ran = ["release_after_use"], []

    def measure(values, jobs=1):
        elapsed_s = 1.0 if policies[-1] == "resident" else 5.0
        policies.append(values["residency"])
        ran.append(values["residency"][:3])
        return RunFigures(elapsed_s, None, OUTPUTS)

    old, new = {"residency": "release_after_use"}, {"residency": "resident"}
    trial = compare(measure, old=old, new=new)
    assert trial.verdict is TrialVerdict.FASTER
    assert (trial.speed_up.low, trial.speed_up.high) == (pytest.approx(5.0), pytest.approx(5.0))
    counted = 2 * trial.speed_up.n_before
    assert len(ran) == 1 + counted + counted // 2 + 1, "one more for each change of sides"
