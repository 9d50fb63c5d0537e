"""One piece of advice put to the test on the user's own jobs.

The next jobs run in turn with the old and the new value; the interval of their paired ratios
decides. Until it has decided for the new value, every other job runs with the old one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from backend.errors import InvalidParameter
from backend.profiling.regression import INTERVAL_MIN_RUNS, RatioInterval, paired_interval

MIN_PAIRS = INTERVAL_MIN_RUNS
EVIDENCE_CHANGE = 0.2
# One failure may be bad luck; two more than the old value had are laid at the new one's door.
EXCESS_FAILURES = 2

Value = str | int | float | bool | None


class ExperimentState(StrEnum):
    """Where a piece of advice stands."""

    PROPOSED = "proposed"
    APPLIED = "applied"
    CONFIRMED = "confirmed"
    NO_EFFECT = "no_effect"
    AUTO_REVERTED = "auto_reverted"
    DISMISSED = "dismissed"


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
        How strong the evidence is, for example the seconds it would save per job; finite.
    seed : int
        Not negative; decides the order of the arms.
    pairs : int
        How many pairs of jobs to measure, at least five.
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

    def __post_init__(self) -> None:
        if self.pairs < MIN_PAIRS:
            raise InvalidParameter(f"An experiment takes at least {MIN_PAIRS} pairs of jobs.")
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
        """Take note of newer evidence; it brings dismissed advice back if it changed by 20 %.

        The change is measured from the evidence at dismissal, so that drift in small steps
        counts as well.
        """
        if self.state is ExperimentState.PROPOSED:
            return replace(self, evidence=evidence)
        moved = abs(evidence - self.evidence)
        changed = moved > 0 and moved >= EVIDENCE_CHANGE * abs(self.evidence)
        if self.state is not ExperimentState.DISMISSED or not changed:
            return self
        return Experiment(
            self.advice_id, self.setting, self.old, self.new, evidence, self.seed, self.pairs
        )

    def assign(self, job_id: str) -> Experiment:
        """Give a starting job the first free slot; offer only jobs of like work.

        A job that holds a slot keeps it. Without a free slot nothing changes.
        """
        free = self._slot_of(None)
        held = self._slot_of(job_id)
        if self.state is not ExperimentState.APPLIED or free is None or held is not None:
            return self
        return self._with_slot(free, Slot(job_id))

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
        return self if held is None else self._with_slot(held, taken)._decided()

    def failed(self, job_id: str, *, out_of_memory: bool) -> Experiment:
        """Note that a job failed; its slot goes to the next job unless the new value is at fault.

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
        freed = self._with_slot(held, Slot())
        if arm_of_slot(self.seed, held) is Arm.OLD:
            return replace(freed, failures_old=self.failures_old + 1)
        freed = replace(freed, failures_new=self.failures_new + 1)
        if out_of_memory:
            return freed._reverted(RevertReason.OUT_OF_MEMORY)
        excess = freed.failures_new - freed.failures_old
        return freed._reverted(RevertReason.FAILURES) if excess >= EXCESS_FAILURES else freed

    def canceled(self, job_id: str) -> Experiment:
        """Free the slot of a job that was canceled, which says nothing about the value."""
        held = self._open_slot_of(job_id)
        return self if held is None else self._with_slot(held, Slot())

    def speed_up(self) -> RatioInterval | None:
        """The old value's time over the new one's, pair by pair, or None before the first pair."""
        old, new = self._measured_pairs()
        return paired_interval(new, old, seed=self.seed) if old else None

    def to_document(self) -> dict[str, Any]:
        """Write it as what JSON can hold."""
        document = {name: getattr(self, name) for name in _PLAIN}
        document["state"] = self.state.value
        document["reason"] = self.reason.value if self.reason else None
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
            return cls(
                **{name: document[name] for name in _PLAIN},
                state=ExperimentState(document["state"]),
                reason=RevertReason(reason) if reason else None,
                slots=tuple(Slot(job_id, elapsed_s) for job_id, elapsed_s in document["slots"]),
            )
        except (KeyError, TypeError, ValueError) as wrong:
            raise InvalidParameter(f"This is no experiment: {wrong!r}.") from wrong

    def _decided(self) -> Experiment:
        """Revert as soon as it is clearly slower; decide the rest when all pairs are in."""
        # Looking after every pair reverts a change without effect somewhat more often; that costs
        # nothing, whereas to confirm one does: so confirming has to wait for the last pair.
        interval = self.speed_up()
        if interval is None or interval.low is None or interval.high is None:
            return self
        if interval.high < 1:
            return self._reverted(RevertReason.SLOWER)
        if interval.n_before < self.pairs:
            return self
        confirmed = interval.low > 1
        state = ExperimentState.CONFIRMED if confirmed else ExperimentState.NO_EFFECT
        return replace(self, state=state)

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
    from backend.profiling.bootstrap import coin

    block, place = divmod(index, 4)
    starts_new = coin(seed, block)
    outer = place in (0, 3)
    return Arm.NEW if outer == starts_new else Arm.OLD


_PLAIN = (
    "advice_id",
    "setting",
    "old",
    "new",
    "evidence",
    "seed",
    "pairs",
    "failures_old",
    "failures_new",
)
