"""One piece of advice put to the test on the user's own jobs.

The next jobs run in turn with the old and the new value; the interval of their paired ratios
decides. While it cannot, pairs are added. Until it has decided for the new value, every other
job runs with the old one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from statistics import median
from typing import Any

from backend.errors import InvalidParameter
from backend.profiling.regression import MARGIN, RatioInterval
from backend.profiling.trial_interval import FEWEST_PAIRS, MOST_PAIRS, trial_interval

MIN_PAIRS = FEWEST_PAIRS
EVIDENCE_CHANGE = 0.2
# One failure may be bad luck; two more than the old value had are laid at the new one's door.
EXCESS_FAILURES = 2

Value = str | int | float | bool | None


class ExperimentState(StrEnum):
    """Where a piece of advice stands.

    ``no_effect`` excludes a gain of 3 % or more; ``not_clear`` could not tell.
    """

    PROPOSED = "proposed"
    APPLIED = "applied"
    CONFIRMED = "confirmed"
    NO_EFFECT = "no_effect"
    NOT_CLEAR = "not_clear"
    AUTO_REVERTED = "auto_reverted"
    DISMISSED = "dismissed"


PUT_AWAY = frozenset({
    ExperimentState.DISMISSED, ExperimentState.NO_EFFECT,
    ExperimentState.NOT_CLEAR, ExperimentState.AUTO_REVERTED,
})  # fmt: skip


class RevertReason(StrEnum):
    """Why the new value was taken back."""

    OUT_OF_MEMORY = "out_of_memory"
    SLOWER = "slower"
    FAILURES = "failures"


class Arm(StrEnum):
    """Which value a job runs with."""

    OLD = "old"
    NEW = "new"


@dataclass(frozen=True)
class Slot:
    """A place in the order of jobs: the job that holds it and what it took, if known."""

    job_id: str | None = None
    elapsed_s: float | None = None

    def __post_init__(self) -> None:
        if self.elapsed_s is not None and not 0 < self.elapsed_s < math.inf:
            raise InvalidParameter(f"A job cannot take {self.elapsed_s} s.")


@dataclass(frozen=True)
class Experiment:
    """A change of one setting and the jobs that test it; every event makes a new one.

    Parameters
    ----------
    advice_id : str
        The advice that is tested.
    setting : str
        The setting it changes.
    old, new : str, int, float, bool or None
        Its value before and after.
    evidence : float
        How strong the evidence is: the seconds it would save per job; finite.
    seed : int
        Not negative; decides the order of the arms.
    pairs : int
        How many pairs of jobs to measure, five to eleven; more are added while they may decide.
    last_failed : Arm, optional
        What the last job ran with if it failed: the next one gets the other value.
    """

    advice_id: str
    setting: str
    old: Value
    new: Value
    evidence: float
    seed: int
    pairs: int = MIN_PAIRS
    state: ExperimentState = ExperimentState.PROPOSED
    reason: RevertReason | None = None
    slots: tuple[Slot, ...] = ()
    failures_old: int = 0
    failures_new: int = 0
    last_failed: Arm | None = None

    def __post_init__(self) -> None:
        if not MIN_PAIRS <= self.pairs <= MOST_PAIRS:
            raise InvalidParameter(f"A trial takes {MIN_PAIRS} to {MOST_PAIRS} pairs of jobs.")
        if not math.isfinite(self.evidence) or self.seed < 0:
            raise InvalidParameter("Evidence is finite and a seed is not negative.")
        if len(self.slots) not in (0, 2 * self.pairs):
            raise InvalidParameter(f"{len(self.slots)} slots do not hold {self.pairs} pairs.")

    def apply(self) -> Experiment:
        """Start to hand out the new value.

        Raises
        ------
        InvalidParameter
            It is not merely proposed.
        """
        self._expect(ExperimentState.PROPOSED)
        return replace(self, state=ExperimentState.APPLIED, slots=(Slot(),) * (2 * self.pairs))

    def dismiss(self) -> Experiment:
        """Put the advice away, and the old value back if it was under test.

        Raises
        ------
        InvalidParameter
            It is decided or dismissed already.
        """
        self._expect(ExperimentState.PROPOSED, ExperimentState.APPLIED)
        return replace(self, state=ExperimentState.DISMISSED)

    def with_evidence(self, evidence: float) -> Experiment:
        """Take note of newer evidence; a change by 20 % brings back what was put away.

        That is advice that was dismissed, or tried without success. The change is measured from
        the evidence of that time, so that drift in small steps counts as well.
        """
        if self.state is ExperimentState.PROPOSED:
            return replace(self, evidence=evidence)
        moved = abs(evidence - self.evidence)
        changed = moved > 0 and moved >= EVIDENCE_CHANGE * abs(self.evidence)
        if self.state not in PUT_AWAY or not changed:
            return self
        return Experiment(self.advice_id, self.setting, self.old, self.new, evidence, self.seed)

    def assign(self, job_id: str) -> Experiment:
        """Give a starting job the first free slot; offer only jobs of like work.

        After a failure it is the first one of the other value, so that what breaks every job for
        a while hits both. A job that holds a slot keeps it. Without a free slot nothing changes.
        """
        free = self._next_free()
        held = self._slot_of(job_id)
        if self.state is not ExperimentState.APPLIED or free is None or held is not None:
            return self
        return replace(self._with_slot(free, Slot(job_id)), last_failed=None)

    def arm_for(self, job_id: str) -> Arm:
        """Tell which value a job runs with."""
        if self.state is ExperimentState.CONFIRMED:
            return Arm.NEW
        held = self._slot_of(job_id)
        if self.state is not ExperimentState.APPLIED or held is None:
            return Arm.OLD
        return arm_of_slot(self.seed, held)

    def measured(self, job_id: str, elapsed_s: float) -> Experiment:
        """Note what a job took and decide if that settles it.

        The report of a job without a slot, or a second one of the same job, changes nothing.

        Raises
        ------
        InvalidParameter
            The time is not above zero or not finite.
        """
        taken = Slot(job_id, elapsed_s)
        held = self._open_slot_of(job_id)
        if held is None:
            return self
        return self._with_slot(held, taken)._judged_by_failures()._decided()

    def failed(self, job_id: str, *, out_of_memory: bool) -> Experiment:
        """Note a failure that a setting can cause.

        The slot is free again. The new value is taken back when it has two failures more than
        the old one in as many starts.

        Parameters
        ----------
        job_id : str
            The job.
        out_of_memory : bool
            It ran out of memory: with the new value, one such failure reverts at once.
        """
        held = self._open_slot_of(job_id)
        if held is None:
            return self
        arm = arm_of_slot(self.seed, held)
        freed = replace(self._with_slot(held, Slot()), last_failed=arm)
        if arm is Arm.NEW:
            freed = replace(freed, failures_new=self.failures_new + 1)
        else:
            freed = replace(freed, failures_old=self.failures_old + 1)
        if arm is Arm.NEW and out_of_memory:
            return freed._reverted(RevertReason.OUT_OF_MEMORY)
        if freed.pairs < MOST_PAIRS and not freed._free_slots(_other(arm)):
            freed = freed._with_a_pair()
        return freed._judged_by_failures()

    def canceled(self, job_id: str) -> Experiment:
        """Free the slot of a job that was canceled, which says nothing about the value."""
        held = self._open_slot_of(job_id)
        return self if held is None else self._with_slot(held, Slot())

    def speed_up(self) -> RatioInterval | None:
        """The old value's time over the new one's, pair by pair, or None before the first pair."""
        old, new = self._measured_pairs()
        return trial_interval(old, new) if old else None

    def to_document(self) -> dict[str, Any]:
        """Write it as what JSON can hold."""
        document = {name: getattr(self, name) for name in _PLAIN}
        document["state"] = self.state.value
        document["reason"] = self.reason.value if self.reason else None
        document["last_failed"] = self.last_failed.value if self.last_failed else None
        document["slots"] = [[slot.job_id, slot.elapsed_s] for slot in self.slots]
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Experiment:
        """Read what `to_document` wrote.

        Raises
        ------
        InvalidParameter
            It is not such a document.
        """
        try:
            reason = document["reason"]
            last_failed = document.get("last_failed")  # missing in rows of earlier versions
            return cls(
                **{name: document[name] for name in _PLAIN},
                state=ExperimentState(document["state"]),
                reason=RevertReason(reason) if reason else None,
                last_failed=Arm(last_failed) if last_failed else None,
                slots=tuple(Slot(job_id, elapsed_s) for job_id, elapsed_s in document["slots"]),
            )
        except (KeyError, TypeError, ValueError) as wrong:
            raise InvalidParameter(f"This is no experiment: {wrong!r}.") from wrong

    def _decided(self) -> Experiment:
        """Revert as soon as it is clearly slower; decide the rest when all pairs are in."""
        interval = self.speed_up()
        if self.state is not ExperimentState.APPLIED or interval is None:
            return self
        if interval.low is None or interval.high is None:
            return self
        if interval.high < 1:
            return self._reverted(RevertReason.SLOWER)
        if interval.n_before < self.pairs:
            return self
        if interval.low > 1:
            return replace(self, state=ExperimentState.CONFIRMED)
        if interval.high < MARGIN:
            return replace(self, state=ExperimentState.NO_EFFECT)
        # The bounds of the fewest pairs are too wide to give anything up.
        is_open = self.pairs == MIN_PAIRS or interval.high >= self._promised_ratio()
        if is_open and self.pairs < MOST_PAIRS:
            return self._with_a_pair()
        return replace(self, state=ExperimentState.NOT_CLEAR)

    def _promised_ratio(self) -> float:
        """What the advice promises: the old time over what would be left of it."""
        old_s = median(self._measured_pairs()[0])
        if not 0 < self.evidence < old_s:
            return MARGIN
        return max(MARGIN, old_s / (old_s - self.evidence))

    def _judged_by_failures(self) -> Experiment:
        """Revert when the new value has failed too often, with as many starts of the old one."""
        if self.failures_new - self.failures_old < EXCESS_FAILURES:
            return self
        new, old = self._slots_of(Arm.NEW), self._slots_of(Arm.OLD)
        starts_new = self.failures_new + sum(slot.elapsed_s is not None for slot in new)
        starts_old = self.failures_old + sum(slot.elapsed_s is not None for slot in old)
        # Where even the last slot of the old value is measured, it is one start behind at most.
        may_catch_up = any(slot.elapsed_s is None for slot in old)
        if starts_old < starts_new and may_catch_up:
            return self
        return self._reverted(RevertReason.FAILURES)

    def _measured_pairs(self) -> tuple[list[float], list[float]]:
        old, new = [], []
        for first in range(0, len(self.slots), 2):
            times_s = {
                arm_of_slot(self.seed, index): self.slots[index].elapsed_s
                for index in (first, first + 1)
            }
            old_s, new_s = times_s[Arm.OLD], times_s[Arm.NEW]
            if old_s is not None and new_s is not None:
                old.append(old_s)
                new.append(new_s)
        return old, new

    def _reverted(self, reason: RevertReason) -> Experiment:
        return replace(self, state=ExperimentState.AUTO_REVERTED, reason=reason)

    def _expect(self, *states: ExperimentState) -> None:
        if self.state not in states:
            raise InvalidParameter(f"The advice is {self.state.value.replace('_', ' ')} already.")

    def _slot_of(self, job_id: str | None) -> int | None:
        return next((i for i, slot in enumerate(self.slots) if slot.job_id == job_id), None)

    def _next_free(self) -> int | None:
        free = [i for i, slot in enumerate(self.slots) if slot.job_id is None]
        if self.last_failed is not None:
            free = self._free_slots(_other(self.last_failed)) or free
        return free[0] if free else None

    def _free_slots(self, arm: Arm) -> list[int]:
        slots = enumerate(self.slots)
        return [i for i, slot in slots if slot.job_id is None and arm_of_slot(self.seed, i) is arm]

    def _slots_of(self, arm: Arm) -> list[Slot]:
        return [s for i, s in enumerate(self.slots) if arm_of_slot(self.seed, i) is arm]

    def _with_a_pair(self) -> Experiment:
        return replace(self, pairs=self.pairs + 1, slots=(*self.slots, Slot(), Slot()))

    def _open_slot_of(self, job_id: str) -> int | None:
        held = self._slot_of(job_id)
        if self.state is not ExperimentState.APPLIED or held is None:
            return None
        return held if self.slots[held].elapsed_s is None else None

    def _with_slot(self, index: int, slot: Slot) -> Experiment:
        return replace(self, slots=(*self.slots[:index], slot, *self.slots[index + 1 :]))


def arm_of_slot(seed: int, index: int) -> Arm:
    """Tell which arm the job in a slot runs: ABBA or BAAB in every block of four.

    Parameters
    ----------
    seed : int
        Not negative; chooses between the two in each block.
    index : int
        The slot, from 0; slots 2i and 2i + 1 make a pair.

    Returns
    -------
    Arm
        Each pair has both arms, and each whole block cancels a steady drift.

    Examples
    --------
    >>> [arm_of_slot(0, index).value for index in range(4)]
    ['new', 'old', 'old', 'new']
    """
    block, place = divmod(index, 4)
    outer = place in (0, 3)
    return Arm.NEW if outer == _starts_new(seed, block) else Arm.OLD


def _other(arm: Arm) -> Arm:
    return Arm.OLD if arm is Arm.NEW else Arm.NEW


@lru_cache(maxsize=1024)
def _starts_new(seed: int, block: int) -> bool:
    from backend.profiling.bootstrap import coin

    return coin(seed, block)


_PLAIN = (
    "advice_id", "setting", "old", "new", "evidence", "seed", "pairs",
    "failures_old", "failures_new",
)  # fmt: skip
