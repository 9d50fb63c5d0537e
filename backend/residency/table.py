"""The table of models: one lock, one condition, one queue for transfers.

The lock guards the table only. It is never held during a load, a copy or a device call, so that
whoever reads the table is answered at once.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from backend.errors import GpuBusy, InvalidParameter, UnknownModel
from backend.residency.budget import Budget, budget_of
from backend.residency.device import MemoryReading
from backend.residency.device_with_guests import GuestCopy
from backend.residency.lease import Lease
from backend.residency.policies import Conduct, ResidencyRules, conduct_for
from backend.residency.records import ModelRecord
from backend.residency.states import Residence, Transition
from backend.units import Clock

LONGEST_WAIT_S = 1.0
KEPT_TRANSITIONS = 200
MEMORY = "memory"

log = logging.getLogger(__name__)


_threads = threading.local()


def _this_thread() -> object:
    """Name the calling thread; a later thread with the same number is another."""
    if not hasattr(_threads, "owner"):
        _threads.owner = object()
    owner: object = _threads.owner
    return owner


@dataclass(frozen=True)
class Call:
    """Who asks, for what, and until when.

    Parameters
    ----------
    owner : object
        Leases of one owner never wait for each other; the calling thread unless named.
    promise : int
        Bytes of device memory asked for beside the model itself.
    """

    owner: object
    what: str
    deadline_s: float
    promise: int = 0


@dataclass
class ModelTable:
    """Records, promises and the order of transfers; use it in a ``with`` statement to lock it.

    Every property and method but ``turn`` and ``call`` expects the lock to be held.
    ``on_move`` is called under the lock at every change of state; it must not wait.
    """

    clock: Clock
    rules: ResidencyRules
    total_bytes: int
    on_move: Callable[[], None] = lambda: None
    records: dict[str, ModelRecord] = field(default_factory=dict)
    promises: dict[Lease, tuple[int, object]] = field(default_factory=dict)
    transitions: deque[Transition] = field(default_factory=lambda: deque(maxlen=KEPT_TRANSITIONS))
    seq: int = 0
    switches: int = 0
    turn_since_s: float | None = None
    _condition: threading.Condition = field(
        default_factory=threading.Condition  # re-entrant: a collected lease ends wherever we are
    )
    _queue: deque[object] = field(default_factory=deque)
    _waits_for_promises: Call | None = None

    def __enter__(self) -> None:
        self._condition.acquire()

    def __exit__(self, *_: object) -> None:
        self._condition.release()

    def find(self, name: str) -> ModelRecord:
        """Look a model up; raises UnknownModel."""
        record = self.records.get(name)
        if record is None:
            raise UnknownModel(f"No model is called {name!r}.")
        return record

    def move(self, record: ModelRecord, after: Residence, reason: str) -> None:
        """Change the state of a model and tell everybody who waits."""
        now_s = self.clock.monotonic_s()
        self.seq += 1
        self.transitions.append(
            Transition(
                self.seq, self.clock.now(), record.name, record.state, after, reason,
                max(0.0, now_s - record.since_s),
            )
        )  # fmt: skip
        log.info("model %s: %s -> %s (%s)", record.name, record.state, after, reason)
        record.state, record.since_s = after, now_s
        self.changed()
        self.on_move()

    def changed(self) -> None:
        """Wake everybody who waits for something in the table."""
        self._condition.notify_all()

    def wait(self, until: Callable[[], bool], call: Call) -> None:
        """Wait for a fact of the table.

        Raises
        ------
        GpuBusy
            The deadline has passed, or the owner holds what the one before it waits for.
        """
        while not until():
            self.pause(call, LONGEST_WAIT_S)

    def pause(self, call: Call, longest_s: float) -> None:
        """Wait for a change, but no longer than ``longest_s``; raises GpuBusy as ``wait``."""
        remaining_s = call.deadline_s - self.clock.monotonic_s()
        if remaining_s <= 0:
            raise GpuBusy(f"{call.what} did not get its turn in time.")
        for record in self.records.values():
            if record.awaited and call.owner in record.leases.values():
                raise GpuBusy(
                    f"{call.what} would wait for a caller that itself waits for {record.name}.",
                    advice="End the lease on one model before asking for another.",
                )
        if self._waits_for_promises not in (None, call) and self._holds_promise(call.owner):
            raise GpuBusy(
                f"{call.what} would wait for a caller that itself waits for memory promised here.",
                advice="End the lease on memory before asking for a model.",
            )
        self._condition.wait(min(remaining_s, longest_s))

    def pause_for_promises(self, call: Call, longest_s: float = LONGEST_WAIT_S) -> None:
        """Pause until promises of others end; those who hold them must not wait for this one."""
        self._waits_for_promises = call
        self.changed()
        try:
            self.pause(call, longest_s)
        finally:
            self._waits_for_promises = None

    def _holds_promise(self, owner: object) -> bool:
        return any(size and holder == owner for size, holder in self.promises.values())

    def idle(self, longest_s: float) -> None:
        """Wait for any change, without a deadline."""
        self._condition.wait(longest_s)

    @contextmanager
    def turn(self, call: Call) -> Iterator[None]:
        """Own all transfers until the end of the block, in order of arrival; raises GpuBusy."""
        place = object()
        with self:
            self._queue.append(place)
            try:
                self.wait(lambda: self._queue[0] is place, call)
            except BaseException:
                self._queue.remove(place)
                self.changed()
                raise
            self.turn_since_s = self.clock.monotonic_s()
        try:
            yield
        finally:
            with self:
                self._queue.popleft()
                self.turn_since_s = None
                self.changed()

    def budget(self, reading: MemoryReading) -> Budget:
        """Divide the device's memory."""
        return budget_of(
            reading,
            self.model_bytes,
            self.promised_bytes,
            settled=self.settled_bytes,
            fraction=self.rules.fraction,
            margin=self.rules.margin_bytes,
            kept=self.kept_bytes,
        )

    def kept_by(self, record: ModelRecord) -> int:
        """Bytes that a guest's process holds beside its weights without a promise for them."""
        if not isinstance(record.copy, GuestCopy):
            return 0
        promised = sum(size for lease, (size, _) in self.promises.items() if lease in record.leases)
        return max(0, record.copy.seen_bytes - record.block_bytes - promised)

    def to_promise(self, record: ModelRecord | None, promise: int) -> int:
        """What a promise takes beside what its model's process holds for such work already."""
        return promise if record is None else max(0, promise - self.kept_by(record))

    def conduct(self, record: ModelRecord) -> Conduct:
        """What is done with a model now."""
        footprint = sum(other.size_bytes for other in self.records.values() if other.loads)
        capacity = int(self.rules.fraction * self.total_bytes) - self.rules.margin_bytes
        rate = record.requests_per_min(self.clock.monotonic_s())
        return conduct_for(self.rules.policy, footprint, capacity, rate)

    def call(self, what: str, timeout_s: float | None, owner: object, promise: int = 0) -> Call:
        """Describe a request; it needs no lock."""
        wait_s = self.rules.lease_timeout_s if timeout_s is None else timeout_s
        deadline_s = self.clock.monotonic_s() + wait_s
        if promise < 0:
            raise InvalidParameter(f"{promise} bytes cannot be promised.")
        return Call(_this_thread() if owner is None else owner, what, deadline_s, promise)

    def grant(self, record: ModelRecord | None, call: Call, end: Callable[[Lease], None]) -> Lease:
        """Write a lease down: on a model, or on memory alone."""
        name, model = (record.name, record.loaded) if record else (MEMORY, None)
        lease = Lease(name, model, end)
        self.promises[lease] = (call.promise, call.owner)
        if record:
            record.leases[lease] = call.owner
            record.last_owner = call.owner
            record.last_used_s = self.clock.monotonic_s()
        return lease

    @property
    def model_bytes(self) -> int:
        """Blocks of weights on the device, the one that is being filled included."""
        return sum(record.block_bytes for record in self.records.values())

    @property
    def settled_bytes(self) -> int:
        """Blocks of weights that the device's own figure certainly includes."""
        records = self.records.values()
        return sum(r.block_bytes for r in records if r.state is not Residence.RESTORING)

    @property
    def promised_bytes(self) -> int:
        """Memory promised to leases."""
        return sum(promise for promise, _ in self.promises.values())

    @property
    def kept_bytes(self) -> int:
        """What processes of guests hold beside weights and promises."""
        return sum(map(self.kept_by, self.records.values()))

    @property
    def committed_bytes(self) -> int:
        """Blocks of weights, and what is promised or kept beside them."""
        return self.model_bytes + self.promised_bytes + self.kept_bytes

    @property
    def pinned_bytes(self) -> int:
        """Page-locked host memory held or promised."""
        return sum(record.pinned_bytes for record in self.records.values())
