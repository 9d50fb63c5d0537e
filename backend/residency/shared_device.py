"""A device that several servers use: what each may hold is granted, and nobody holds more.

The neighbours' grants count as used here, whether or not they are filled already, so that the
manager decides about its models as if it were alone on what is left. What the device itself says
counts beside it: programs that know nothing of grants are seen there only.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

from backend.errors import OutOfMemory
from backend.residency.device import BackendName, DeviceBackend, HostCopy, MemoryReading
from backend.residency.share_view import (
    DeviceShare,
    Holder,
    Holding,
    ShareOffline,
    ShareView,
    Wish,
    part_to_give,
    waits_in_a_circle,
)
from backend.units import MB, Clock, iso

log = logging.getLogger(__name__)


class ShareState(StrEnum):
    """How a server stands with those that use the same device."""

    OFF = "off"
    UNUSED = "unused"
    ONLINE = "online"
    OFFLINE = "offline"


class GrantLost(OutOfMemory):
    """The grant ran out before the upload began; it has to be asked for anew."""


class SharedDevice:
    """One device behind the grants on it.

    Parameters
    ----------
    device : DeviceBackend
        The device itself.
    share : DeviceShare
        Grants on it.

    Attributes
    ----------
    on_change : callable
        Called when what is held has become less while somebody waits for it.
    """

    def __init__(self, device: DeviceBackend, share: DeviceShare, clock: Clock) -> None:
        self.name: BackendName = device.name
        self.frees_late = device.frees_late
        self.on_change: Callable[[], None] = lambda: None
        self._device = device
        self._share = share
        self._clock = clock
        self._talk = threading.RLock()  # one conversation at a time; never taken under the table's
        self._view: ShareView | None = None
        self._grant_bytes = 0
        self._floor_bytes = 0
        self._incoming_bytes = 0
        self._valid_until_s = -1.0
        self._idle = Holding()
        self._offline = False
        self._wishes = False

    # What the manager asks of a device

    def memory(self) -> MemoryReading:
        """Read the device; what the neighbours may still take is not free."""
        return self.look()[0]

    def upload(self, copy: HostCopy) -> None:
        """Bring a model to the device under a grant that is in force now; raises GrantLost."""
        with self._arriving(0 if copy.is_on_device else copy.size_bytes):
            if not self._confirm():
                raise GrantLost("The grant on the shared GPU ran out before the weights moved.")
            self._device.upload(copy)

    def remove(self, copy: HostCopy) -> None:
        """Take a model off the device; its part of the grant goes with it."""
        there = copy.is_on_device
        size_bytes = copy.size_bytes
        try:
            self._device.remove(copy)
        finally:
            if there and not copy.is_on_device:
                self._grant_bytes = max(self._floor_bytes, self._grant_bytes - size_bytes)
                self.on_change()

    def run_loader(self, load: Callable[[], Any]) -> Any:
        """Call the loader of a model."""
        return self._device.run_loader(load)

    def size_of(self, loaded: Any) -> int:
        """Bytes of the block that a loaded model will need."""
        return self._device.size_of(loaded)

    def host_copy(self, loaded: Any, pin_bytes: int) -> HostCopy:
        """Take a loaded model over."""
        return self._device.host_copy(loaded, pin_bytes)

    def discard(self, copy: HostCopy) -> None:
        """Free the host copy."""
        self._device.discard(copy)

    def used(self, copy: HostCopy) -> None:
        """Note the end of a use."""
        self._device.used(copy)

    def link_bytes_per_s(self) -> float | None:
        """Probe, once, the rate of the link."""
        return self._device.link_bytes_per_s()

    def known_link_bytes_per_s(self) -> float | None:
        """Return the probed rate without probing."""
        return self._device.known_link_bytes_per_s()

    # What arrivals ask of the grants

    @property
    def is_heard(self) -> bool:
        """Whether the neighbours, if there are any, can be heard."""
        return not self._offline

    @property
    def neighbours_hold(self) -> bool:
        """Whether a neighbour has a claim that it could give up."""
        view = self._heard()
        return view is not None and view.claimed_bytes > 0

    def look(self) -> tuple[MemoryReading, MemoryReading]:
        """Read the device as it is, and as it would be once every neighbour had left it."""
        raw, view = self._device.memory(), self._heard()
        if view is None:
            return raw, raw
        foreign = self._foreign_bytes(raw, view)
        return _with_others(raw, view.claimed_bytes + foreign), _with_others(raw, foreign)

    @property
    def idle_elsewhere_bytes(self) -> int:
        """What the neighbours would give without stopping anything."""
        view = self._heard()
        return sum(one.idle_bytes for one in view.neighbours) if view else 0

    def covers(self, committed_bytes: int) -> bool:
        """Whether the grant is large enough and still in force; without neighbours to ask, yes."""
        if self._offline:
            return True
        in_force = self._clock.monotonic_s() < self._valid_until_s
        return in_force and committed_bytes <= self._grant_bytes

    def ask(self, target_bytes: int, *, margin_bytes: int, holds: bool) -> bool:
        """Enlarge the grant, or join the queue; what is granted is kept until ``settle``."""
        with self._talk:
            if self._offline:  # the keeper hears when they are there again
                return True
            raw = self._device.memory()
            said_s = self._clock.monotonic_s()
            try:
                view = self._share.ask(
                    target_bytes,
                    self._grant_bytes,
                    self._holding(raw),
                    others_bytes=_others(raw),
                    limit_bytes=raw.total_bytes - margin_bytes,
                    holds=holds,
                    wish=True,
                )
            except ShareOffline as error:
                self._went_offline(error)
                return True
            self._note(view, said_s)
            self._wishes = not view.granted
            if view.granted:
                self._floor_bytes = target_bytes
            return view.granted

    def settle(self) -> None:
        """End what ``ask`` began: leave the queue, and let the grant follow what is in use."""
        self._floor_bytes = 0
        if not self._wishes:
            return
        self._wishes = False
        with self._talk:
            if self._offline:
                return
            try:
                self._share.withdraw()
            except ShareOffline as error:
                self._went_offline(error)

    def waits_in_a_circle(self) -> bool:
        """Whether nobody's work would end unless the caller's does; see ``share_view``."""
        view = self._heard()
        return view is not None and waits_in_a_circle(view, self._share.id)

    def neighbours_named(self) -> str:
        """Name who holds memory of the device, for messages."""
        view = self._heard()
        names = [f"{one.name} (process {one.pid})" for one in view.neighbours] if view else []
        return ", ".join(names) or "other programs"

    # What the keeper does every second

    def renew(self, commit: Callable[[], tuple[int, Holding]], margin_bytes: int) -> None:
        """Renew the grant at what is in use, or ask for as much anew when it was lost.

        What is in use may exceed it after a time in which the neighbours were not heard.

        Parameters
        ----------
        commit : callable
            Returns what models and promises take now, and which models are idle. It locks the
            table, and calls ``lower`` before it lets go of it.
        """
        with self._talk:
            committed_bytes, self._idle = commit()
            raw = self._device.memory()
            said_s = self._clock.monotonic_s()
            try:
                view = self._share.tell(self._grant_bytes, self._holding(raw))
                if not view.in_force or view.grant_bytes < committed_bytes:
                    view = self._share.ask(
                        committed_bytes,
                        view.grant_bytes,
                        self._holding(raw),
                        others_bytes=_others(raw),
                        limit_bytes=raw.total_bytes - margin_bytes,
                        holds=True,
                        wish=False,
                    )
            except ShareOffline as error:
                self._went_offline(error)
                return
            self._note(view, said_s)

    def lower(self, committed_bytes: int) -> None:
        """Let the grant follow what is in use; the table is locked."""
        self._grant_bytes = min(self._grant_bytes, max(committed_bytes, self._floor_bytes))

    def part_to_give(self, margin_bytes: int) -> tuple[int, Wish | None]:
        """Return how many bytes a neighbour who waits expects of this process, and its wish."""
        view = self._heard()
        if view is None or not view.wishes:
            return 0, None
        raw = self._device.memory()
        holding = self._holding(raw)
        now = self._clock.now()
        mine = Holder(self._share.id, self._share.name, "", 0, now, self._grant_bytes, holding)
        taken = mine.claim_bytes + view.claimed_bytes + self._foreign_bytes(raw, view)
        free = raw.total_bytes - margin_bytes - taken
        return part_to_give(view.wishes, (*view.neighbours, mine), mine.id, free)

    def is_wanted(self) -> bool:
        """Whether anybody waits for room, here or elsewhere."""
        view = self._heard()
        return view is not None and bool(view.wishes)

    def others_wish(self) -> bool:
        """Whether a neighbour waits for room."""
        view = self._heard()
        return view is not None and any(w.holder != self._share.id for w in view.wishes)

    def give_back_cache(self) -> None:
        """Return what the allocator keeps without use, where the device can."""
        give_back = getattr(self._device, "give_back_cache", None)
        if give_back is not None:
            give_back()

    def close(self) -> None:
        """Give the grant back."""
        self._share.close()

    def status(self) -> dict[str, Any]:
        """Describe the grants, JSON-ready; sizes in MB."""
        view = self._heard()
        state = ShareState.OFFLINE if self._offline else ShareState.ONLINE
        return share_status(state) | {
            "name": self._share.name,
            "grant_mb": None if self._offline else _mb(self._grant_bytes),
            "neighbours": [_neighbour(one) for one in view.neighbours] if view else [],
            "wishes": [_wish(one, self._share.id) for one in view.wishes] if view else [],
        }

    # Inside

    def _heard(self) -> ShareView | None:
        return None if self._offline else self._view

    def _foreign_bytes(self, raw: MemoryReading, view: ShareView) -> int:
        """Held by programs that know nothing of grants; the driver counts them with the rest."""
        return max(0, _others(raw) - view.held_bytes)

    def _holding(self, raw: MemoryReading) -> Holding:
        held_bytes = raw.reserved_bytes + self._incoming_bytes
        return Holding(held_bytes, self._idle.idle_bytes, self._idle.idle_s)

    @contextmanager
    def _arriving(self, size_bytes: int) -> Iterator[None]:
        self._incoming_bytes = size_bytes
        try:
            yield
        finally:
            self._incoming_bytes = 0

    def _confirm(self) -> bool:
        """Say what is about to arrive before it does; returns whether the grant is in force."""
        with self._talk:
            if self._offline:
                return True
            holding, said_s = self._holding(self._device.memory()), self._clock.monotonic_s()
            try:
                view = self._share.tell(self._grant_bytes, holding, confirm=True)
            except ShareOffline as error:
                self._went_offline(error)
                return True
            self._note(view, said_s)
            return view.granted

    def _note(self, view: ShareView, said_s: float) -> None:
        self._view = view
        self._grant_bytes = view.grant_bytes
        self._valid_until_s = said_s + self._share.lasts_s if view.in_force else -1.0
        if self._offline:
            self._offline = False
            log.warning("the servers that share the GPU are heard again")

    def _went_offline(self, error: ShareOffline) -> None:
        if not self._offline:
            self._offline = True
            log.warning(
                "the servers that share the GPU cannot be heard (%s); until they are, only the "
                "device's own figures count",
                error,
            )


def share_status(state: ShareState) -> dict[str, Any]:
    """Describe a share of which nothing but its state is known."""
    return {
        "state": state.value,
        "name": None,
        "grant_mb": None,
        "neighbours": [],
        "wishes": [],
    }


def _neighbour(one: Holder) -> dict[str, Any]:
    return {
        "name": one.name,
        "host": one.host,
        "pid": one.pid,
        "since": iso(one.since),
        "grant_mb": _mb(one.grant_bytes),
        "held_mb": _mb(one.holding.held_bytes),
        "idle_mb": _mb(one.holding.idle_bytes),
        "expired": one.expired,
    }


def _wish(one: Wish, me: str) -> dict[str, Any]:
    return {
        "name": one.name,
        "pid": one.pid,
        "since": iso(one.since),
        "wants_mb": _mb(one.extra_bytes),
        "own": one.holder == me,
    }


def _with_others(raw: MemoryReading, others_bytes: int) -> MemoryReading:
    free = max(0, raw.total_bytes - raw.reserved_bytes - others_bytes)
    return MemoryReading(raw.total_bytes, free, raw.reserved_bytes, raw.allocated_bytes)


def _others(raw: MemoryReading) -> int:
    return max(0, raw.total_bytes - raw.free_bytes - raw.reserved_bytes)


def _mb(size_bytes: int) -> float:
    return round(size_bytes / MB, 1)
