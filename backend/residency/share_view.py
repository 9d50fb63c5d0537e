"""What servers that share a device know of each other, and how much each of them gives."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class Holding:
    """What a holder says of itself.

    Parameters
    ----------
    held_bytes : int
        On the device, by the allocator's own figure.
    idle_bytes : int
        Of models that nobody uses.
    idle_s : float
        How long the longest unused of them has been idle.
    """

    held_bytes: int = 0
    idle_bytes: int = 0
    idle_s: float = 0.0


@dataclass(frozen=True)
class Holder:
    """A process that may hold memory of the device.

    Parameters
    ----------
    name : str
        Of its server, as people know it.
    since : datetime
        When it first held a grant.
    grant_bytes : int
        What it may hold; 0 when its grant has run out.
    expired : bool
        It has not spoken for longer than a grant lasts.
    """

    id: str
    name: str
    host: str
    pid: int
    since: datetime
    grant_bytes: int
    holding: Holding
    expired: bool = False

    @property
    def claim_bytes(self) -> int:
        """What others must leave to it: its grant, or more where it holds more."""
        return max(self.grant_bytes, self.holding.held_bytes)

    @property
    def idle_bytes(self) -> int:
        """What it could give without stopping anything."""
        return min(self.holding.idle_bytes, self.claim_bytes)


@dataclass(frozen=True)
class Wish:
    """A holder that waits for room.

    Parameters
    ----------
    place : int
        Lower is earlier.
    target_bytes : int
        The grant that it waits for.
    extra_bytes : int
        Of it, what it does not hold yet.
    holds : bool
        Who waits keeps models in use meanwhile.
    """

    holder: str
    name: str
    pid: int
    place: int
    since: datetime
    target_bytes: int
    extra_bytes: int
    holds: bool


@dataclass(frozen=True)
class ShareView:
    """One look at everybody.

    Parameters
    ----------
    granted : bool
        What was asked for is granted; after ``tell``: as ``in_force``.
    in_force : bool
        The grant is; it may be smaller than what was asked for.
    grant_bytes : int
        Own grant.
    neighbours : tuple of Holder
        The others.
    wishes : tuple of Wish
        In order of arrival, our own included.
    """

    granted: bool
    in_force: bool
    grant_bytes: int
    neighbours: tuple[Holder, ...]
    wishes: tuple[Wish, ...]

    @property
    def claimed_bytes(self) -> int:
        """What all others may hold together."""
        return sum(one.claim_bytes for one in self.neighbours)

    @property
    def held_bytes(self) -> int:
        """What all others say they hold."""
        return sum(one.holding.held_bytes for one in self.neighbours)


class DeviceShare(Protocol):
    """Grants on one device, kept where all servers that use it can reach them.

    Every method but ``close`` raises ShareOffline.
    """

    id: str
    name: str
    lasts_s: float  # a grant, unless it is renewed

    def tell(self, grant_bytes: int, holding: Holding, *, confirm: bool = False) -> ShareView:
        """Renew the grant, never enlarging it, and say what is held.

        ``confirm`` changes nothing when the grant is lost, so that what was about to be brought to
        the device is not counted as if it were there.
        """

    def ask(
        self,
        target_bytes: int,
        grant_bytes: int,
        holding: Holding,
        *,
        others_bytes: int,
        limit_bytes: int,
        holds: bool,
        wish: bool,
    ) -> ShareView:
        """Enlarge the grant if everybody's grants still fit the device then.

        Parameters
        ----------
        target_bytes, grant_bytes : int
            The grant that is asked for, and what is still needed of the present one.
        others_bytes : int
            Held by others as the device itself counts; 0 where it does not.
        limit_bytes : int
            What all grants together may be.
        holds : bool
            Who asks has models in use, and does not queue behind those who have none.
        wish : bool
            Join the queue when the answer is no.
        """

    def withdraw(self) -> None:
        """Leave the queue."""

    def close(self) -> None:
        """Give the grant back; never raises."""


class ShareOffline(Exception):
    """The servers that share a device cannot be heard at the moment."""


def part_to_give(
    wishes: tuple[Wish, ...], holders: tuple[Holder, ...], me: str, free_bytes: int
) -> tuple[int, Wish | None]:
    """Return how many bytes this holder gives to the first wish that needs any, and that wish.

    Everybody computes the same from the same figures: the longest idle models go first, whoever
    has them; what is in use is asked for only when all that is idle is not enough.

    Parameters
    ----------
    holders : tuple of Holder
        All, this one included.
    free_bytes : int
        Neither claimed by a holder nor held by anybody else; may be negative.

    Examples
    --------
    >>> moment = datetime(2026, 11, 21)
    >>> def holder(id, idle, idle_s):
    ...     return Holder(id, id, "host", 1, moment, 40, Holding(40, idle, idle_s))
    >>> wish = Wish("c", "c", 3, 1, moment, 60, 60, False)
    >>> both = (holder("a", 30, 5.0), holder("b", 30, 9.0))
    >>> [part_to_give((wish,), both, me, 20)[0] for me in "ab"]
    [10, 30]
    """
    short_bytes = -free_bytes
    for wish in wishes:
        if wish.holder == me:
            break
        short_bytes += wish.extra_bytes
        if short_bytes > 0:
            givers = [one for one in holders if one.id != wish.holder and not one.expired]
            return _part_of(me, givers, short_bytes), wish
    return 0, None


def _part_of(me: str, givers: list[Holder], short_bytes: int) -> int:
    order = sorted(givers, key=lambda one: (-one.holding.idle_s, one.id))
    own = 0
    for offers in (
        [(one.id, one.idle_bytes) for one in order],
        [(one.id, one.claim_bytes - one.idle_bytes) for one in order],
    ):
        for giver, offered in offers:
            part = min(offered, max(0, short_bytes))
            short_bytes -= part
            own += part if giver == me else 0
    return own


def waits_in_a_circle(view: ShareView, me: str) -> bool:
    """Whether everybody who holds something in use waits too, and this holder came last.

    Nobody's work would ever end: the last one has to let go.
    """
    waiting = {wish.holder: wish for wish in view.wishes if wish.holds}
    mine = waiting.get(me)
    busy = [one for one in view.neighbours if one.claim_bytes > one.idle_bytes]
    return (
        mine is not None
        and bool(busy)
        and all(one.id in waiting and waiting[one.id].place < mine.place for one in busy)
    )
