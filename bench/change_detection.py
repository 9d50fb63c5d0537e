"""How often is a change called a change, by the interval of ratios and by looking at the last run?

Simulated runs with log-normal scatter: with no effect every alarm is false, with an effect of
10 % every silence is a miss. Both ways of judging see the same runs.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.profiling.experiment import Arm, Experiment, ExperimentState, arm_of_slot
from backend.profiling.regression import Verdict, ratio_interval, verdict_of
from bench.record import Figure, report

SCATTERS = (0.03, 0.10)
EFFECT, RUNS_EACH, NAIVE_MARGIN, SEED = 1.10, 20, 1.05, 1
TRIALS = 400

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


def confirmed_pct(scatter: float, effect: float, trials: int) -> float:
    """Share of trials of advice that are confirmed when the old value takes ``effect`` times."""
    rng = np.random.default_rng(SEED)
    sigma = math.sqrt(math.log1p(scatter**2))
    confirmed = 0
    for seed in range(trials):
        trial = Experiment("a", "setting", "old", "new", 1.0, seed).apply()
        for index in range(len(trial.slots)):
            if trial.state is not ExperimentState.APPLIED:
                break
            factor = effect if arm_of_slot(seed, index) is Arm.OLD else 1.0
            job = f"job{index}"
            trial = trial.assign(job).measured(job, factor * float(rng.lognormal(0.0, sigma)))
        confirmed += trial.state is ExperimentState.CONFIRMED
    return 100 * confirmed / trials


def figures(trials: int) -> list[Figure]:
    """Measure both rules and the trials at each scatter."""
    found: list[Figure] = []
    for scatter in SCATTERS:
        at = f"scatter {100 * scatter:.0f} %"
        for name, effect in (("false alarms", 1.0), ("10 % slower is found", EFFECT)):
            naive = alarms_pct(by_last_run, scatter, effect, trials)
            ours = alarms_pct(by_interval, scatter, effect, trials)
            found.append(Figure.of(f"{name}, last run, {at}", "%", [naive]))
            runs = f"interval of {RUNS_EACH} + {RUNS_EACH} runs"
            found.append(Figure.of(f"{name}, {runs}, {at}", "%", [ours], naive))
        for name, effect in (("confirmed without effect", 1.0), ("10 % confirmed", EFFECT)):
            pct = confirmed_pct(scatter, effect, trials)
            found.append(Figure.of(f"trial of 5 pairs, {name}, {at}", "%", [pct]))
    return found


def main() -> None:
    """Run the simulation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    settings = {"trials": arguments.trials, "runs_each": RUNS_EACH, "seed": SEED}
    report("change_detection", figures(arguments.trials), settings, arguments.json)


if __name__ == "__main__":
    main()
