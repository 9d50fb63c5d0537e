from __future__ import annotations

import doctest
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.errors import InvalidParameter
from backend.profiling import experiment as module
from backend.profiling.experiment import (
    Arm,
    Experiment,
    ExperimentState,
    RevertReason,
    arm_of_slot,
)
from backend.profiling.trial_interval import MOST_PAIRS
from bench.change_detection import trial_outcomes

SETTLED = {
    ExperimentState.NO_EFFECT,
    ExperimentState.NOT_CLEAR,
    ExperimentState.AUTO_REVERTED,
}
FINAL = SETTLED | {ExperimentState.CONFIRMED}


# 20 000 simulated trials at a scatter of 3, 10 and 20 % confirmed 2.3, 2.3 and 2.5 % of changes
# without effect; of 1000, that share has a standard error of 0.5 %.
TOLERANCE_PCT = 0.5


def proposed(pairs=5, seed=3, evidence=2.0):
    return Experiment("fp32-matmul:denoise", "precision", "fp32", "bf16", evidence, seed, pairs)


def job_on(arm, experiment, prefix="job"):
    """Assign jobs until one gets the arm; returns the experiment and that job."""
    for number in range(2 * experiment.pairs):
        job_id = f"{prefix}-{number}"
        experiment = experiment.assign(job_id)
        if experiment.arm_for(job_id) is arm and experiment.assign(job_id) is experiment:
            return experiment, job_id
    pytest.fail(f"no job got the arm {arm}")


def run_jobs(experiment, old_s, new_s, rng=None, noise=0.0):
    """Run jobs one after the other until it is decided; returns it and the count of jobs."""
    for number in range(2 * MOST_PAIRS):
        if experiment.state is not ExperimentState.APPLIED:
            return experiment, number
        job_id = f"job-{number}"
        experiment = experiment.assign(job_id)
        base_s = new_s if experiment.arm_for(job_id) is Arm.NEW else old_s
        factor = rng.lognormal(0, noise) if rng else 1.0
        experiment = experiment.measured(job_id, base_s * factor)
    return experiment, 2 * MOST_PAIRS


def test_the_examples_hold():
    result = doctest.testmod(module)
    assert result.attempted >= 1
    assert result.failed == 0


@given(st.integers(0, 2**63), st.integers(0, 200))
def test_every_pair_has_both_arms_and_every_block_is_mirrored(seed, block):
    arms = [arm_of_slot(seed, 4 * block + place) for place in range(4)]
    assert arms == arms[::-1]
    assert set(arms[:2]) == {Arm.OLD, Arm.NEW}


def test_the_seed_decides_which_arm_starts():
    first = [arm_of_slot(seed, 0) for seed in range(200)]
    assert 60 < first.count(Arm.NEW) < 140


def test_a_faster_value_is_confirmed_and_stays():
    found, jobs = run_jobs(proposed().apply(), 10.0, 8.0)
    assert found.state is ExperimentState.CONFIRMED
    assert jobs == 10
    assert found.speed_up().ratio == pytest.approx(1.25)
    assert found.arm_for("any later job") is Arm.NEW


def test_no_difference_is_no_effect_and_the_old_value_returns():
    found, _ = run_jobs(proposed().apply(), 10.0, 10.0)
    assert found.state is ExperimentState.NO_EFFECT
    assert found.speed_up().high < 1.03
    assert found.arm_for("any later job") is Arm.OLD


def scattered(experiment, ratios):
    """Run a pair for each ratio of old to new time; returns the experiment."""
    for number in range(2 * len(ratios)):
        job_id = f"job-{number}"
        experiment = experiment.assign(job_id)
        is_old = experiment.arm_for(job_id) is Arm.OLD
        experiment = experiment.measured(job_id, 10.0 * (ratios[number // 2] if is_old else 1.0))
    return experiment


WIDE = [1.3, 0.9, 1.2, 0.95, 1.25, 1.15, 0.9, 1.2, 1.1, 1.3, 0.85]


def test_a_trial_that_cannot_tell_takes_more_pairs_and_then_says_so():
    undecided = scattered(proposed().apply(), WIDE[:5])
    assert (undecided.state, undecided.pairs) == (ExperimentState.APPLIED, 6)
    assert undecided.slots[10:] == (module.Slot(),) * 2
    found = scattered(proposed().apply(), WIDE)
    assert (found.state, found.pairs) == (ExperimentState.NOT_CLEAR, MOST_PAIRS)
    assert found.speed_up().low < 1
    assert found.speed_up().high > 1.03
    assert found.arm_for("any later job") is Arm.OLD
    assert 2 * MOST_PAIRS < 24


def test_added_pairs_may_confirm():
    found = scattered(proposed().apply(), [0.99, *[1.2, 1.25] * 5])
    assert found.state is ExperimentState.CONFIRMED
    assert 5 < found.pairs <= MOST_PAIRS


def test_it_ends_early_when_the_promised_gain_is_out_of_reach():
    # 5 of 10 s are promised: twice as fast.
    found = scattered(proposed(evidence=5.0).apply(), WIDE[:6])
    assert (found.state, found.pairs) == (ExperimentState.NOT_CLEAR, 6)
    modest = scattered(proposed(evidence=1.0).apply(), WIDE[:6])
    assert modest.state is ExperimentState.APPLIED


@pytest.mark.parametrize("evidence", [0.0, -3.0, 15.0, 1e6])
def test_a_promise_that_is_no_share_of_a_job_asks_for_the_least_gain(evidence):
    assert scattered(proposed(evidence=evidence).apply(), WIDE[:6]).pairs == 7


@pytest.mark.parametrize("scatter", [0.03, 0.20])
def test_what_has_no_effect_is_seldom_confirmed(scatter):
    outcomes = trial_outcomes(scatter, 1.0, 1000)
    assert outcomes[ExperimentState.CONFIRMED] <= 3.0 + TOLERANCE_PCT


@pytest.mark.parametrize(
    ("scatter", "effect", "least_pct", "trials"),
    [
        (0.03, 1.10, 97.0, 100),
        (0.03, 1.25, 99.0, 100),
        (0.10, 1.10, 28.0, 400),
        (0.10, 1.25, 92.0, 200),
    ],
)
def test_a_true_gain_is_found_as_often_as_stated(scatter, effect, least_pct, trials):
    """99.7, 100, 35 and 96.6 % of 40 000; the rule of five pairs found 25 % of the third."""
    assert trial_outcomes(scatter, effect, trials)[ExperimentState.CONFIRMED] >= least_pct


def test_a_slower_value_is_reverted_before_all_pairs_are_in():
    found, jobs = run_jobs(proposed(pairs=11).apply(), 10.0, 11.5)
    assert found.state is ExperimentState.AUTO_REVERTED
    assert found.reason is RevertReason.SLOWER
    assert jobs == 10
    assert found.arm_for("any later job") is Arm.OLD


def test_a_faster_value_is_not_confirmed_before_all_pairs_are_in():
    found, jobs = run_jobs(proposed(pairs=8).apply(), 10.0, 5.0)
    assert (found.state, jobs) == (ExperimentState.CONFIRMED, 16)


@pytest.mark.parametrize(
    ("new_s", "states", "least"),
    [
        (10.0, {ExperimentState.NO_EFFECT, ExperimentState.NOT_CLEAR}, 0.9),
        (9.0, {ExperimentState.CONFIRMED}, 0.9),
        (11.0, {ExperimentState.AUTO_REVERTED}, 0.9),
    ],
    ids=["no change", "a tenth faster", "a tenth slower"],
)
def test_noise_decides_seldom(new_s, states, least):
    rng = np.random.default_rng(4)
    ends = [
        run_jobs(proposed(pairs=8, seed=seed).apply(), 10.0, new_s, rng, 0.03)[0].state
        for seed in range(80)
    ]
    assert sum(end in states for end in ends) / len(ends) >= least


def test_running_out_of_memory_reverts_at_once():
    applied, job_id = job_on(Arm.NEW, proposed().apply())
    found = applied.failed(job_id, out_of_memory=True)
    assert found.state is ExperimentState.AUTO_REVERTED
    assert found.reason is RevertReason.OUT_OF_MEMORY
    assert found.arm_for(job_id) is Arm.OLD


def test_running_out_of_memory_with_the_old_value_is_not_held_against_the_new_one():
    applied, job_id = job_on(Arm.OLD, proposed().apply())
    found = applied.failed(job_id, out_of_memory=True)
    assert found.state is ExperimentState.APPLIED
    assert found.arm_for(job_id) is Arm.OLD
    assert found.assign("next").arm_for("next") is Arm.NEW
    assert {slot.job_id for slot in found.slots}.isdisjoint({job_id})


def test_two_failures_more_than_the_old_value_had_revert():
    found, arms = run_script(proposed(seed=seed_with(Arm.NEW)).apply(), "fail new", 4)
    assert arms == [Arm.NEW, Arm.OLD, Arm.NEW, Arm.OLD]
    assert (found.failures_new, found.failures_old) == (2, 0)
    assert found.reason is RevertReason.FAILURES


def seed_with(first):
    return next(seed for seed in range(20) if arm_of_slot(seed, 0) is first)


def run_script(experiment, script, jobs):
    """Run jobs that end as the script says; returns the experiment and their arms."""
    arms = []
    for number in range(jobs):
        job_id = f"job-{number}"
        experiment = experiment.assign(job_id)
        arms.append(experiment.arm_for(job_id))
        if script in ("fail all", f"fail {arms[-1].value}"):
            experiment = experiment.failed(job_id, out_of_memory=False)
        else:
            experiment = experiment.measured(job_id, 8.0 if arms[-1] is Arm.NEW else 10.0)
    return experiment, arms


def test_before_the_old_value_had_as_many_starts_nothing_is_taken_back():
    found, _ = run_script(proposed(seed=seed_with(Arm.NEW)).apply(), "fail new", 3)
    assert (found.failures_new, found.state) == (2, ExperimentState.APPLIED)


def test_after_a_failure_the_next_job_has_the_other_value():
    for seed in range(8):
        for good in range(9):
            before, _ = run_script(proposed(seed=seed, pairs=6).apply(), "", good)
            failing = before.assign("bad")
            arm = failing.arm_for("bad")
            following = failing.failed("bad", out_of_memory=False).assign("next")
            assert following.arm_for("next") is not arm, (seed, good)
            assert following.state is ExperimentState.APPLIED


def test_an_outage_hits_both_values_alike():
    """Two failures in a row say nothing of a value, wherever they fall."""
    for seed in range(8):
        for good in range(10):
            broken, _ = run_script(proposed(seed=seed).apply(), "", good)
            for number in range(2):
                broken = broken.assign(f"bad-{number}")
                broken = broken.failed(f"bad-{number}", out_of_memory=False)
            assert broken.failures_new == broken.failures_old == 1, (seed, good)
            found, jobs = run_jobs(broken, 10.0, 8.0)
            assert found.state is ExperimentState.CONFIRMED
            assert good + 2 + jobs < 24


def test_a_value_that_always_fails_is_taken_back_wherever_that_begins():
    for seed in range(8):
        for good in range(9):
            begun, _ = run_script(proposed(seed=seed).apply(), "", good)
            for number in range(6):
                job_id = f"late-{number}"
                begun = begun.assign(job_id)
                if begun.arm_for(job_id) is Arm.NEW:
                    begun = begun.failed(job_id, out_of_memory=False)
                else:
                    begun = begun.measured(job_id, 10.0)
            assert begun.reason is RevertReason.FAILURES, (seed, good)


def test_a_document_of_an_earlier_version_is_read():
    document = proposed().apply().to_document()
    del document["last_failed"]
    assert Experiment.from_document(document) == proposed().apply()


def test_a_canceled_job_leaves_its_place_and_arm_to_the_next():
    applied = proposed().apply().assign("one")
    arm = applied.arm_for("one")
    found = applied.canceled("one").assign("two")
    assert found.arm_for("two") is arm
    assert found.slots[0].job_id == "two"
    assert found.failures_new == found.failures_old == 0


def test_jobs_beyond_the_slots_keep_the_old_value():
    found = proposed().apply()
    for number in range(10):
        found = found.assign(f"job-{number}")
    assert found.assign("one more") == found
    assert found.arm_for("one more") is Arm.OLD
    assert {found.arm_for(f"job-{number}") for number in range(10)} == {Arm.OLD, Arm.NEW}


def test_before_it_is_applied_nobody_gets_the_new_value():
    assert proposed().assign("job") == proposed()
    assert proposed().arm_for("job") is Arm.OLD
    assert proposed().measured("job", 1.0) == proposed()


def test_a_report_counts_once_and_only_from_a_job_that_takes_part():
    found = proposed().apply().assign("job").measured("job", 1.0)
    assert found.measured("job", 9.0) == found
    assert found.measured("stranger", 9.0) == found
    assert found.failed("job", out_of_memory=True) == found
    assert found.canceled("job") == found
    assert found.assign("job") == found


def test_dismissed_stays_dismissed_until_the_evidence_changes_by_a_fifth():
    found = proposed(evidence=10.0).dismiss()
    for evidence in (10.0, 11.0, 11.9, 8.1):
        assert found.with_evidence(evidence) == found
    for evidence in (12.0, 8.0):
        again = found.with_evidence(evidence)
        assert again.state is ExperimentState.PROPOSED
        assert again.evidence == evidence


def test_settled_advice_comes_back_when_its_evidence_moves_by_a_fifth():
    not_clear = scattered(proposed().apply(), WIDE)
    no_effect, _ = run_jobs(proposed().apply(), 10.0, 10.0)
    slower, _ = run_jobs(proposed().apply(), 10.0, 20.0)
    assert {found.state for found in (not_clear, no_effect, slower)} == SETTLED
    for found in (not_clear, no_effect, slower):
        assert found.with_evidence(2.3) == found
        assert found.with_evidence(2.5) == proposed(evidence=2.5)
    confirmed, _ = run_jobs(proposed().apply(), 10.0, 8.0)
    assert confirmed.with_evidence(99.0) == confirmed


def test_small_steps_of_the_evidence_add_up():
    found = proposed(evidence=10.0).dismiss()
    states = []
    for evidence in (10.8, 11.6, 12.4):
        found = found.with_evidence(evidence)
        states.append(found.state.value)
    assert states == ["dismissed", "dismissed", "proposed"]


def test_advice_that_comes_back_starts_afresh():
    dismissed = proposed().apply().assign("job").measured("job", 1.0).dismiss()
    assert dismissed.arm_for("job") is Arm.OLD
    assert dismissed.with_evidence(99.0) == proposed(evidence=99.0)


def test_evidence_does_not_disturb_a_test_under_way():
    applied = proposed().apply()
    assert applied.with_evidence(99.0) == applied
    assert proposed().with_evidence(99.0) == proposed(evidence=99.0)


def test_what_is_decided_cannot_be_applied_or_dismissed():
    decided, _ = run_jobs(proposed().apply(), 10.0, 8.0)
    for forbidden in (decided.apply, decided.dismiss, proposed().dismiss().apply):
        with pytest.raises(InvalidParameter):
            forbidden()


@pytest.mark.parametrize(
    "fault",
    [{"pairs": 4}, {"pairs": 12}, {"evidence": float("nan")}, {"seed": -1}],
    ids=["few pairs", "many pairs", "nan", "seed"],
)
def test_a_test_that_could_not_decide_is_refused(fault):
    with pytest.raises(InvalidParameter):
        proposed(**fault)


@pytest.mark.parametrize("elapsed_s", [0.0, -1.0, float("inf"), float("nan")])
def test_what_is_no_time_is_refused(elapsed_s):
    with pytest.raises(InvalidParameter):
        proposed().apply().assign("job").measured("job", elapsed_s)


@pytest.mark.parametrize(
    "damage",
    [
        {"state": "perhaps"},
        {"slots": [["job", 1.0]]},
        {"slots": None},
        {"slots": [["job", "soon"]] * 10},
        {"pairs": "five"},
        {"pairs": 1},
    ],
)
def test_a_damaged_document_is_refused(damage):
    document = proposed().apply().to_document()
    with pytest.raises(InvalidParameter):
        Experiment.from_document(document | damage)


def test_a_document_with_a_part_missing_is_refused():
    document = proposed().to_document()
    for name in document.keys() - {"last_failed"}:
        with pytest.raises(InvalidParameter):
            Experiment.from_document({k: v for k, v in document.items() if k != name})


jobs = st.sampled_from([f"job-{number}" for number in range(14)])
events = st.one_of(
    st.tuples(st.just("assign"), jobs),
    st.tuples(st.just("measured"), jobs, st.floats(0.5, 2.0)),
    st.tuples(st.just("failed"), jobs, st.booleans()),
    st.tuples(st.just("canceled"), jobs),
    st.tuples(st.just("with_evidence"), st.floats(0.1, 10.0)),
    st.tuples(st.just("apply")),
    st.tuples(st.just("dismiss")),
)


def after_event(experiment, event):
    name, *arguments = event
    if name == "failed":
        return experiment.failed(arguments[0], out_of_memory=arguments[1])
    try:
        return getattr(experiment, name)(*arguments)
    except InvalidParameter:
        assert name in {"apply", "dismiss"}
        return experiment


def check_invariants(experiment):
    held = [slot.job_id for slot in experiment.slots if slot.job_id is not None]
    assert len(held) == len(set(held))
    assert all(slot.job_id for slot in experiment.slots if slot.elapsed_s is not None)
    reverted = experiment.state is ExperimentState.AUTO_REVERTED
    assert (experiment.reason is not None) == reverted
    given_new = [f"job-{n}" for n in range(14) if experiment.arm_for(f"job-{n}") is Arm.NEW]
    if experiment.state is ExperimentState.APPLIED:
        assert len(given_new) <= experiment.pairs
    elif experiment.state is not ExperimentState.CONFIRMED:
        assert given_new == []
    if experiment.state is ExperimentState.CONFIRMED:
        assert experiment.speed_up().low > 1
        assert experiment.speed_up().n_before == experiment.pairs
    document = json.loads(json.dumps(experiment.to_document(), allow_nan=False))
    assert Experiment.from_document(document) == experiment


ALLOWED = {
    ExperimentState.PROPOSED: {ExperimentState.APPLIED, ExperimentState.DISMISSED},
    ExperimentState.APPLIED: FINAL | {ExperimentState.DISMISSED},
    ExperimentState.DISMISSED: {ExperimentState.PROPOSED},
    **{state: {ExperimentState.PROPOSED} for state in SETTLED},
}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 9), st.lists(events, max_size=60))
def test_whatever_happens_the_machine_keeps_its_word(seed, happened):
    experiment = proposed(seed=seed)
    for event in happened:
        following = after_event(experiment, event)
        moved = following.state is not experiment.state
        assert not moved or following.state in ALLOWED.get(experiment.state, set())
        is_final = experiment.state in FINAL and event[0] != "with_evidence"
        assert not is_final or following == experiment
        check_invariants(following)
        experiment = following


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(5, 9),
    st.lists(st.floats(0.5, 2.0), min_size=22, max_size=22),
    st.randoms(),
)
def test_it_always_ends_whatever_the_times_and_the_order_of_reports(seed, pairs, times_s, chance):
    experiment = proposed(pairs=pairs, seed=seed).apply()
    left = list(times_s)
    while experiment.state is ExperimentState.APPLIED:
        free = sum(slot.job_id is None for slot in experiment.slots)
        names = [f"job-{len(left)}-{number}" for number in range(free)]
        for name in names:
            experiment = experiment.assign(name)
        for name in chance.sample(names, len(names)):
            experiment = experiment.measured(name, left.pop())
            check_invariants(experiment)
    assert experiment.state in FINAL
