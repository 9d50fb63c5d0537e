"""Whose turn it is: jobs of the same models run after each other, yet nobody waits for long."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import median

from backend.jobs.waiting_work import WaitingKind

LEAST_TURN_S = 30.0
USUAL_JOBS = 2
KEPT_TIMES = 9
KEPT_GROUPS = 64


class Turns:
    """Chooses the kind of work that a worker takes next.

    Of those that wait at the highest priority, a group goes on with its turn, so that its models
    stay where they are. When another group has waited as long as a turn lasts, and this one has
    had a whole turn, the one that has waited longest is next. A turn lasts 30 s, or twice the
    usual time of a claim if that is more: with g groups that always have jobs, each waits at most
    g - 1 turns and as many claims.

    Parameters
    ----------
    least_turn_s : float
        How long a turn lasts at least while others wait.
    """

    def __init__(self, least_turn_s: float = LEAST_TURN_S) -> None:
        self._least_turn_s = least_turn_s
        self._group: str | None = None
        self._since: datetime | None = None
        self._left_at: dict[str, datetime] = {}
        self._times_s: deque[float] = deque(maxlen=KEPT_TIMES)

    @property
    def turn(self) -> timedelta:
        """How long a turn lasts while others wait."""
        usual_s = median(self._times_s) if self._times_s else 0.0
        return timedelta(seconds=max(self._least_turn_s, USUAL_JOBS * usual_s))

    def choose(self, kinds: Sequence[WaitingKind], now: datetime) -> WaitingKind | None:
        """Choose among what waits; None when nothing does. Nothing changes until ``took``.

        Parameters
        ----------
        kinds : sequence of WaitingKind
            All of the same priority.
        """
        mine = [kind for kind in kinds if kind.group == self._group]
        others = [kind for kind in kinds if kind.group != self._group]
        longest = min(others, key=self._waits_since, default=None)
        if not mine or longest is None:
            return longest or _oldest(mine)
        is_over = self._since is None or now - self._since >= self.turn
        is_due = now - self._waits_since(longest) >= self.turn
        return longest if is_over and is_due else _oldest(mine)

    def took(self, kind: WaitingKind, now: datetime) -> None:
        """Note that jobs of a kind were claimed."""
        if kind.group == self._group:
            return
        if self._group is not None:
            self._left_at[self._group] = now
        self._group, self._since = kind.group, now
        while len(self._left_at) > KEPT_GROUPS:
            del self._left_at[min(self._left_at, key=lambda group: self._left_at[group])]

    def lasted(self, elapsed_s: float) -> None:
        """Note how long a claim took."""
        self._times_s.append(elapsed_s)

    def _waits_since(self, kind: WaitingKind) -> datetime:
        left_at = self._left_at.get(kind.group)
        return kind.oldest_at if left_at is None else max(kind.oldest_at, left_at)


def _oldest(kinds: Sequence[WaitingKind]) -> WaitingKind | None:
    return min(kinds, key=lambda kind: kind.oldest_id, default=None)
