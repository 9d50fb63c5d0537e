"""What the manager knows of one model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from backend.errors import MeshkilnError
from backend.residency.device import HostCopy
from backend.residency.states import ON_DEVICE, DrainIntent, PinState, Residence

RATE_WINDOW_S = 600.0
SHORTEST_WINDOW_S = 60.0


@dataclass(frozen=True)
class ModelSpec:
    """How a model is found and held.

    Parameters
    ----------
    load : callable
        Returns the model on the CPU; called at most once at a time.
    size_hint_bytes : int, optional
        Expected size, for the first decision; the real size is measured at load.
    keep : bool
        Never leaves the device for another model or for idleness.
    before_offload : callable, optional
        Called before the weights move, to drop what holds their addresses (CUDA graphs).
    """

    name: str
    load: Callable[[], Any]
    title: str = ""
    size_hint_bytes: int | None = None
    keep: bool = False
    before_offload: Callable[[], None] | None = None


@dataclass(frozen=True)
class Restore:
    """One transfer from host memory to the device."""

    elapsed_s: float
    size_bytes: int

    @property
    def bytes_per_s(self) -> float:
        """Rate of the transfer."""
        return self.size_bytes / max(self.elapsed_s, 1e-9)


@dataclass
class ModelRecord:
    """State of one model; guarded by the manager's table lock.

    Parameters
    ----------
    leases : dict
        Open leases and the owner of each.
    waiting : int
        Callers on their way to a lease; the host copy stays while there are any.
    awaited : bool
        A caller who holds the transfer turn waits for the leases to end.
    """

    spec: ModelSpec
    state: Residence = Residence.UNLOADED
    since_s: float = 0.0
    loaded: Any = None
    copy: HostCopy | None = None
    pin_promised: int = 0
    host_promised: int = 0
    leases: dict[object, object] = field(default_factory=dict)
    waiting: int = 0
    drain: DrainIntent | None = None
    awaited: bool = False
    failure: MeshkilnError | None = None
    retry_at_s: float = 0.0
    last_used_s: float = 0.0
    last_owner: object = None
    resident_since_s: float = 0.0
    loads: int = 0
    restores: int = 0
    evictions: int = 0
    last_restore: Restore | None = None
    requests: deque[float] = field(default_factory=lambda: deque(maxlen=200))

    @property
    def name(self) -> str:
        """The model's name."""
        return self.spec.name

    @property
    def size_bytes(self) -> int:
        """Size on the device; the hint until it was loaded, 0 when nothing is known."""
        return self.copy.size_bytes if self.copy else (self.spec.size_hint_bytes or 0)

    @property
    def block_bytes(self) -> int:
        """Bytes held on the device."""
        return self.copy.size_bytes if self.copy and self.state in ON_DEVICE else 0

    @property
    def pinned_bytes(self) -> int:
        """Page-locked bytes held or promised."""
        return self.copy.pinned_bytes if self.copy else self.pin_promised

    @property
    def pin_state(self) -> PinState | None:
        """How much of the host copy is page-locked; None without a copy."""
        if self.copy is None:
            return None
        if self.copy.pinned_bytes <= 0:
            return PinState.NONE
        full = self.copy.pinned_bytes >= self.copy.size_bytes
        return PinState.FULL if full else PinState.PARTIAL

    def requests_per_min(self, now_s: float) -> float:
        """How often the model was asked for in the last ten minutes."""
        recent = [at for at in self.requests if now_s - at <= RATE_WINDOW_S]
        if not recent:
            return 0.0
        window_s = max(SHORTEST_WINDOW_S, now_s - recent[0])
        return 60.0 * len(recent) / window_s

    def turn_ends_s(self, now_s: float, owner: object, quantum_s: float, grace_s: float) -> float:
        """When the model may be asked to leave; in the past when nobody else is at it.

        A model in demand by others stays for ``quantum_s``, so that two callers who want
        different models do not make them change places with every call.
        """
        in_demand = bool(self.leases) or now_s - self.last_used_s < grace_s
        if not in_demand or (self.last_owner == owner and not self.leases):
            return now_s
        turn_s = self.resident_since_s + quantum_s
        return turn_s if self.leases else min(turn_s, self.last_used_s + grace_s)
