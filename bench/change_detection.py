"""How often is a change called a change, by the interval of ratios and by looking at the last run?

Simulated runs with log-normal scatter: with no effect every alarm is false, with an effect of
10 % every silence is a miss. Both ways of judging see the same runs. Trials of advice are
simulated as well: how often one is confirmed, with and without effect, and what it costs.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.profiling.experiment import Arm, Experiment, ExperimentState
from backend.profiling.regression import Verdict, ratio_interval, verdict_of
from bench.record import Figure, report

SCATTERS = (0.03, 0.10)
EFFECT, RUNS_EACH, NAIVE_MARGIN, SEED = 1.10, 20, 1.05, 1
TRIALS = 400
TRIAL_SCATTERS = (0.03, 0.10, 0.20)
TRIAL_EFFECTS = (1.0, 1.10, 1.25)
# Without effect there is still a promise to be kept.
LEAST_PROMISED = 1.10
ADVICE_TRIALS = 4000

Times = NDArray[np.float64]
Judge = Callable[[Times, Times], bool]


def by_interval(before: Times, after: Times) -> bool:
    """Ask the rule that trends and comparisons use."""
    interval = ratio_interval(before.tolist(), after.tolist(), seed=SEED)
    return verdict_of(interval) in (Verdict.SLOWER, Verdict.FASTER)


def by_last_run(before: Times, after: Times) -> bool:
    """Ask whether the last run took over 5 % longer or shorter than the one before the change."""
    ratio = after[-1] / before[-1]
    return bool(ratio > NAIVE_MARGIN or ratio < 1 / NAIVE_MARGIN)


def alarms_pct(judge: Judge, scatter: float, effect: float, trials: int) -> float:
    """Share of simulated changes that are called one."""
    rng = np.random.default_rng(SEED)
    sigma = math.sqrt(math.log1p(scatter**2))
    alarms = 0
    for _ in range(trials):
        before = rng.lognormal(0.0, sigma, RUNS_EACH)
        after = effect * rng.lognormal(0.0, sigma, RUNS_EACH)
        alarms += judge(before, after)
    return 100 * alarms / trials


def advice_trial(scatter: float, effect: float, seed: int) -> Experiment:
    """Run one trial of advice whose old value takes ``effect`` times as long as the new one."""
    rng = np.random.default_rng([SEED, seed])
    sigma = math.sqrt(math.log1p(scatter**2))
    promised_s = effect - effect / max(effect, LEAST_PROMISED)
    trial = Experiment("a", "setting", "old", "new", promised_s, seed).apply()
    jobs = 0
    while trial.state is ExperimentState.APPLIED:
        job = f"job{jobs}"
        trial = trial.assign(job)
        factor = effect if trial.arm_for(job) is Arm.OLD else 1.0
        trial = trial.measured(job, factor * float(rng.lognormal(0.0, sigma)))
        jobs += 1
    return trial


def trial_outcomes(scatter: float, effect: float, trials: int) -> Mapping[ExperimentState, float]:
    """Percentages of the verdicts of simulated trials; a verdict that never came has 0."""
    ended = Counter(advice_trial(scatter, effect, seed).state for seed in range(trials))
    return {state: 100 * ended[state] / trials for state in ExperimentState}


def trial_figures(trials: int) -> list[Figure]:
    """Measure how trials of advice end, at each scatter and effect."""
    found = []
    for scatter in TRIAL_SCATTERS:
        for effect in TRIAL_EFFECTS:
            ends = [advice_trial(scatter, effect, seed) for seed in range(trials)]
            gain = f"gain {100 * (effect - 1):.0f} %" if effect > 1 else "no effect"
            at = f"{gain}, scatter {100 * scatter:.0f} %"
            counted = Counter(end.state for end in ends)
            for state in (ExperimentState.CONFIRMED, ExperimentState.NOT_CLEAR):
                pct = 100 * counted[state] / trials
                found.append(Figure.of(f"trial {state.value}, {at}", "%", [pct]))
            jobs = [float(sum(slot.elapsed_s is not None for slot in end.slots)) for end in ends]
            found.append(Figure.of(f"jobs of a trial, {at}", "jobs", jobs))
    return found


def figures(trials: int) -> list[Figure]:
    """Measure both rules at each scatter."""
    found: list[Figure] = []
    for scatter in SCATTERS:
        at = f"scatter {100 * scatter:.0f} %"
        for name, effect in (("false alarms", 1.0), ("10 % slower is found", EFFECT)):
            naive = alarms_pct(by_last_run, scatter, effect, trials)
            ours = alarms_pct(by_interval, scatter, effect, trials)
            found.append(Figure.of(f"{name}, last run, {at}", "%", [naive]))
            runs = f"interval of {RUNS_EACH} + {RUNS_EACH} runs"
            found.append(Figure.of(f"{name}, {runs}, {at}", "%", [ours], naive))
    return found


def main() -> None:
    """Run the simulation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--advice-trials", type=int, default=ADVICE_TRIALS)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    settings = {
        "trials": arguments.trials,
        "advice_trials": arguments.advice_trials,
        "runs_each": RUNS_EACH,
        "seed": SEED,
    }
    found = figures(arguments.trials) + trial_figures(arguments.advice_trials)
    report("change_detection", found, settings, arguments.json)


if __name__ == "__main__":
    main()
